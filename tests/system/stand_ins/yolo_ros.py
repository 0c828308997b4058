# SPDX-License-Identifier: Apache-2.0
"""A stand-in for yolo_ros, whose networks can't run in tests: `python -m tests.system.stand_ins.yolo_ros NODE`.

yolo_node finds the two squares of the tests' picture, with the topics, parameters, services and messages of the real
node, and tracking_node gives what it finds ids. What a real network sees is no matter of these tests.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from yolo_msgs.msg import Detection, DetectionArray, Point2D
from yolo_msgs.srv import SetClasses

SQUARES = ((40, 80, 100, 140), (200, 80, 260, 140))
"""The picture's red and blue one: x0, y0, x1, y1."""


class YoloNode(Node):
    """Names what it finds by its classes, without ids."""

    def __init__(self) -> None:
        super().__init__("yolo_node")
        given = {"model_type": "YOLO", "model": "yolov8m.pt", "enable": True, "image_reliability": 2}
        values: dict[str, Any] = {name: self.declare_parameter(name, default).value for name, default in given.items()}
        self._model, self._reliability = f"{values['model_type']} {values['model']}", values["image_reliability"]
        self._enabled, self._classes = bool(values["enable"]), ["red", "blue"]
        self._publisher = self.create_publisher(DetectionArray, "detections", 10)
        self.create_service(SetBool, "enable", self._enable)
        self.create_service(SetClasses, "set_classes", self._set_classes)
        qos = QoSProfile(depth=1, reliability=self._reliability)
        self.create_subscription(Image, "image_raw", self._found, qos)
        self.get_logger().info(f"stand-in for {self._model}, enabled: {self._enabled}")

    def _enable(self, request: Any, response: Any) -> Any:
        self._enabled, response.success = request.data, True
        return response

    def _set_classes(self, request: Any, response: Any) -> Any:
        self._classes = list(request.classes)
        self.get_logger().info(f"classes {self._classes}, enabled: {self._enabled}")
        return response

    def _found(self, image: Image) -> None:
        if not self._enabled:
            return
        found = DetectionArray(header=image.header)
        for number, (square, label) in enumerate(zip(SQUARES, self._classes, strict=False)):
            x0, y0, x1, y1 = map(float, square)
            one = Detection(class_id=number, class_name=label, score=0.75)
            one.bbox.center.position.x, one.bbox.center.position.y = (x0 + x1) / 2, (y0 + y1) / 2
            one.bbox.size.x, one.bbox.size.y = x1 - x0, y1 - y0
            one.mask.height, one.mask.width = image.height, image.width
            corners = ((x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1))
            one.mask.data = [Point2D(x=x, y=y) for x, y in corners]
            found.detections.append(one)
        self._publisher.publish(found)


class TrackingNode(Node):
    """Calls the first detection "11" and the second one "12"."""

    def __init__(self) -> None:
        super().__init__("tracking_node")
        self._publisher = self.create_publisher(DetectionArray, "tracking", 10)
        self.create_subscription(DetectionArray, "detections", self._track, 10)

    def _track(self, found: DetectionArray) -> None:
        for number, one in enumerate(found.detections, 11):
            one.id = str(number)
        self._publisher.publish(found)


def main(name: str) -> None:
    """Runs a node until it is interrupted."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin({"yolo_node": YoloNode, "tracking_node": TrackingNode}[name]())


if __name__ == "__main__":
    main(sys.argv[1])
