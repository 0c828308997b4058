# SPDX-License-Identifier: Apache-2.0
"""The simulated tabletop as a camera driver would publish it: image, CameraInfo, depth and instance labels."""

from __future__ import annotations

import signal
import sys
import threading

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from gar_ros.demo.table_frame import publish_table_frame
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message

FRAME = "camera_optical_frame"
_CARRY = "whether an object is taken out of its bowl and put back again and again, where one lies in a bowl"


class TabletopCamera(Node):
    """Publishes `image_raw` (rgb8), `camera_info`, `depth` (32FC1, metres) and `instances` (mono8), all with one stamp.

    The scene is a pure function of (seed, stamp): whoever knows the seed can compute what any image shows. In
    `instances` 0 is the table and i + 1 is object i of the scene. The camera stands still: `/tf_static` says where.
    """

    def __init__(self) -> None:
        # Not with the module: main() says what to install where there is no MuJoCo.
        from gar_ros.sim.render import TabletopRenderer
        from gar_ros.sim.timeline import DEMO_SEED, Timeline

        super().__init__("tabletop_camera")
        self._noise = self._number("noise", 2.0, "standard deviation of the sensor noise, grey levels", 0.0, 50.0)
        width = self._integer("width", 640, "image width, pixels", 16, 4096)
        height = self._integer("height", 480, "image height, pixels", 16, 4096)
        seed = self._integer("seed", DEMO_SEED, "of the scene", 0, 2**31 - 1)
        samples = self._integer("samples", 0, "of the antialiasing; 4 halve the speed of software rendering", 0, 16)
        rate = self._number("rate", 10.0, "images a second", 0.1, 120.0)
        qos_is = ParameterDescriptor(description="QoS; false: best effort")
        reliable: Parameter = self.declare_parameter("reliable", True, qos_is)
        carrying = ParameterDescriptor(description=_CARRY, read_only=True)
        carry: Parameter = self.declare_parameter("carry", False, carrying)
        self._timeline = Timeline(seed, bool(carry.value))
        cv2.setRNGSeed(seed)
        self._renderer = TabletopRenderer(width, height, samples)
        reliability = ReliabilityPolicy.RELIABLE if reliable.value else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=2, reliability=reliability)
        self._image = self.create_publisher(Image, "image_raw", qos)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos)
        self._depth = self.create_publisher(Image, "depth", qos)
        self._instances = self.create_publisher(Image, "instances", qos)
        publish_table_frame(self, self._timeline.at(0).camera, FRAME)
        self.create_timer(1.0 / rate, self._publish)
        self.get_logger().info(f"simulated tabletop: {width}x{height} px at {rate:g} Hz, seed {seed}")

    def close(self) -> None:
        """Frees the OpenGL context and the topics."""
        self._renderer.close()
        self.destroy_node()

    def _publish(self) -> None:
        """One picture of now. Rendering takes longer than anything else, so depth is left out when nobody listens."""
        header = Header(frame_id=FRAME, stamp=self.get_clock().now().to_msg())
        scene = self._timeline.at(stamp_ns(header.stamp))
        rendered = self._renderer.render(scene, depth=self._depth.get_subscription_count() > 0)
        self._image.publish(image_message(self._with_noise(rendered.rgb), "rgb8", header))
        self._info.publish(camera_info(rendered.intrinsics, rendered.rgb.shape[1], rendered.rgb.shape[0], header))
        self._instances.publish(image_message(rendered.labels, "mono8", header))
        if rendered.depth is not None:
            self._depth.publish(image_message(rendered.depth, "32FC1", header))

    def _with_noise(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        noise = np.empty(rgb.shape, np.int16)
        cv2.randn(noise, np.zeros(3), np.full(3, self._noise))
        return np.asarray(cv2.add(rgb, noise, dtype=cv2.CV_8U), np.uint8)

    def _integer(self, name: str, default: int, meaning: str, low: int, high: int) -> int:
        limits = [IntegerRange(from_value=low, to_value=high, step=1)]
        descriptor = ParameterDescriptor(description=meaning, integer_range=limits, read_only=True)
        return int(self.declare_parameter(name, default, descriptor).value)

    def _number(self, name: str, default: float, meaning: str, low: float, high: float) -> float:
        limits = [FloatingPointRange(from_value=low, to_value=high)]
        descriptor = ParameterDescriptor(description=meaning, floating_point_range=limits, read_only=True)
        return float(self.declare_parameter(name, default, descriptor).value)


def camera_info(intrinsics: NDArray[np.float64], width: int, height: int, header: Header) -> CameraInfo:
    """Pinhole camera without distortion. intrinsics: K (3, 3) in pixels."""
    info = CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob")
    info.d = [0.0] * 5
    info.k = [float(value) for value in intrinsics.ravel()]
    info.r = [float(value) for value in np.eye(3).ravel()]
    info.p = [float(value) for value in np.hstack([intrinsics, np.zeros((3, 1))]).ravel()]
    return info


def main() -> int:
    """Runs the camera until SIGINT or SIGTERM. Exit code 1 with one line where it can't start."""
    try:
        import gar_ros.sim.render  # noqa: F401
    except (ImportError, AttributeError) as error:  # AttributeError: what MuJoCo's import raises without libEGL
        needed = "MuJoCo (pip install mujoco) and libEGL (apt install libegl1)"
        print(f"tabletop_camera: the simulated tabletop needs {needed}: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # With rclpy's own handlers the context would be gone in the middle of publishing a picture.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        camera = TabletopCamera()
    except ParameterException as error:
        print(f"tabletop_camera: {error}", file=sys.stderr)
        return 1
    while not stop.is_set():
        rclpy.spin_once(camera, timeout_sec=0.2)
    camera.close()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
