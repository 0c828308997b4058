# SPDX-License-Identifier: Apache-2.0
"""The test's side of a robot: camera, detector, planner and lifecycle manager in one node, beside a `gar` process."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_message
from gar_ros.messages.images import image_message
from gar_ros.messages.regions import region_array_message
from gar_ros.msg import RegionArray
from gar_ros.rclpy_compat import InvalidHandle
from gar_ros.region import Region
from gar_ros.settings import PARAMETERS
from tests.processes import ChildProcess, StartProcess

OF_ROS = ("use_sim_time", "qos_overrides.")
"""Parameters that ROS declares."""
PATIENCE = 120.0  # seconds; nothing takes that long, not even on a busy machine
CAMERA_PERIOD = 0.1  # seconds

Scene = Callable[[Header], list[tuple[str, Any]]]
"""Messages to publish for one header, as (topic, message)."""


class _Executor(SingleThreadedExecutor):
    """One that goes on when a publisher is destroyed while rclpy (7.1) builds its wait set."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        with suppress(InvalidHandle):
            super().spin_once(timeout_sec)


class Robot:
    """Publishes and asks while a `gar` node runs beside it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.client = RegionClient(node)
        services = {"change_state": ChangeState, "get_state": GetState, "set_parameters": SetParameters}
        self._clients: dict[str, Client] = {
            name: node.create_client(kind, f"/gar/{name}") for name, kind in services.items()
        }
        self._executor = _Executor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def watch_no_more(self) -> None:
        """The client's action of watches is no more, so that nothing of this process listens to feedback."""
        # rclpy (7.1) can't wait for an action client that another thread destroys.
        gone = self._executor.create_task(self.client._watch.destroy)
        wait_until(gone.done, lambda: "the action client is destroyed")

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()

    @contextmanager
    def publishing(
        self,
        scene: Scene,
        qos: QoSProfile | None = None,
        stamps: Callable[[], int] | None = None,
        period: float = CAMERA_PERIOD,
    ) -> Iterator[None]:
        """Publishes the scene again and again. stamps: nanoseconds of each; None: the present time. period: seconds."""
        qos = qos or QoSProfile(depth=5)
        kinds = {topic: type(message) for topic, message in scene(Header())}
        publishers = {topic: self.node.create_publisher(kind, topic, qos) for topic, kind in kinds.items()}
        stop = threading.Event()

        def publish() -> None:
            while not stop.wait(period):
                stamp = stamps() if stamps else self.node.get_clock().now().nanoseconds
                for topic, message in scene(Header(stamp=stamp_message(stamp), frame_id="camera")):
                    publishers[topic].publish(message)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for publisher in publishers.values():
                self.node.destroy_publisher(publisher)

    def transition(self, transition: int) -> bool:
        """Asks the node for a lifecycle transition; whether it succeeded. Call `wait_for_state` first."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call("change_state", request, PATIENCE).success)

    def wait_for_state(self, state: str) -> None:
        """Waits until the node is in this lifecycle state."""

        def is_there() -> bool:
            # DDS can drop replies to a client that the node has only just discovered: asked again.
            response = self._call("get_state", GetState.Request(), timeout=1.0)
            return response is not None and response.current_state.label == state

        wait_until(is_there, lambda: state)

    def set_parameter(self, name: str, value: str) -> str:
        """Sets a text parameter of the node; the reason if it was refused."""
        given = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        request = SetParameters.Request(parameters=[Parameter(name=name, value=given)])
        result = self._call("set_parameters", request, PATIENCE).results[0]
        return "" if result.successful else str(result.reason)

    def _call(self, name: str, request: Any, timeout: float) -> Any:
        """The response of a service, None when there is none within `timeout` seconds."""
        client = self._clients[name]
        if not client.wait_for_service(timeout):
            return None
        replied = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: replied.set())
        return future.result() if replied.wait(timeout) else None


def start_gar(
    start_process: StartProcess,
    env: Mapping[str, str] | None = None,
    module: str = "gar_ros.node.gar_node",
    **parameters: object,
) -> ChildProcess:
    """A `gar` node of its own, with these parameters. env: on top of this process's. module: its executable."""
    unknown = [name for name in parameters if name not in PARAMETERS and not name.startswith(OF_ROS)]
    assert not unknown, "a node only warns of parameters that don't exist"
    given = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    return start_process(sys.executable, "-m", module, "--ros-args", *given, env=env)


def picture(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: a red square at the left, a blue one at the right, on grey."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[80:140, 40:100] = (200, 30, 30)
    image[80:140, 200:260] = (30, 30, 200)
    return image


def labels_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8: 1 on the picture's red square, 7 on its blue one."""
    labels = np.zeros(image.shape[:2], np.uint8)
    labels[image[:, :, 0] == 200] = 1
    labels[image[:, :, 2] == 200] = 7
    return labels


def labelled_scene(header: Header) -> list[tuple[str, Any]]:
    """Picture and label image."""
    image = picture()
    return [
        ("image", image_message(image, "rgb8", header)),
        ("instances", image_message(labels_of(image), "mono8", header)),
    ]


def regions_of(image: NDArray[np.uint8], header: Header) -> RegionArray:
    """What a detector that knows names finds in the picture."""
    labels = labels_of(image)
    regions = [Region.from_mask("left", labels == 1, "square", 0.9), Region.from_mask("right", labels == 7)]
    return region_array_message(regions, (image.shape[1], image.shape[0]), header)


def detected_scene(header: Header) -> list[tuple[str, Any]]:
    """Picture and RegionArray."""
    image = picture()
    return [("image", image_message(image, "rgb8", header)), ("regions", regions_of(image, header))]


def image_only(header: Header) -> list[tuple[str, Any]]:
    """A camera without a detector."""
    return [("image", image_message(picture(), "rgb8", header))]


def refusal(call: Callable[[], object]) -> tuple[ErrorCode, str]:
    """Code and message of the GarError that `call` must raise."""
    try:
        result = call()
    except GarError as error:
        return error.code, error.message
    raise AssertionError(f"expected a refusal, got {result}")


def wait_for(call: Callable[[], object], code: ErrorCode, reason: str = "") -> str:
    """Calls again and again until it is refused with `code` and a message that contains `reason`; that message."""
    outcome: tuple[ErrorCode | None, str] = (None, "")

    def is_refused() -> bool:
        nonlocal outcome
        try:
            outcome = (None, str(call()))
        except GarError as error:
            outcome = (error.code, error.message)
        return outcome[0] is code and reason in outcome[1]

    wait_until(is_refused, lambda: f"expected {code.name} '{reason}', the last was {outcome}")
    return outcome[1]


def wait_until(condition: Callable[[], bool], what: Callable[[], str] = str) -> None:
    """Waits until `condition` holds. what: says what was waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.05)


class Mailbox:
    """Keeps the newest message of a topic."""

    def __init__(self, robot: Robot, kind: Any, topic: str, qos: QoSProfile) -> None:
        self._arrived = threading.Event()
        self.message: Any = None
        robot.node.create_subscription(kind, topic, self._keep, qos)

    def wait(self) -> Any:
        """The next message, or one that is there already."""
        assert self._arrived.wait(PATIENCE), "no message"
        self._arrived.clear()
        return self.message

    def _keep(self, message: Image) -> None:
        self.message = message
        self._arrived.set()
