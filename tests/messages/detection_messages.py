# SPDX-License-Identifier: Apache-2.0
"""Messages of detectors with the fields that are read, for tests where vision_msgs and yolo_msgs are not installed."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

Numbers = tuple[float, float, float, float]
"""x and y of a box's centre, its width and height."""


def vision_detection(name: str, box: Numbers, theta: float = 0.0, **scores: float) -> Any:
    """A vision_msgs/Detection2D. scores: of each class."""
    x, y, width, height = box
    centre = SimpleNamespace(position=SimpleNamespace(x=x, y=y), theta=theta)
    guesses = [SimpleNamespace(hypothesis=SimpleNamespace(class_id=one, score=score)) for one, score in scores.items()]
    return SimpleNamespace(id=name, results=guesses, bbox=SimpleNamespace(center=centre, size_x=width, size_y=height))


def yolo_detection(
    name: str,
    box: Numbers,
    theta: float = 0.0,
    polygon: Sequence[tuple[float, float]] = (),
    canvas: tuple[int, int] = (0, 0),
    score: float = 0.5,
) -> Any:
    """A yolo_msgs/Detection. canvas: width and height of the image that the polygon is for."""
    x, y, width, height = box
    centre = SimpleNamespace(position=SimpleNamespace(x=x, y=y), theta=theta)
    points = [SimpleNamespace(x=x, y=y) for x, y in polygon]
    return SimpleNamespace(
        id=name,
        class_name="thing",
        score=score,
        bbox=SimpleNamespace(center=centre, size=SimpleNamespace(x=width, y=height)),
        mask=SimpleNamespace(width=canvas[0], height=canvas[1], data=points),
    )


def array(*detections: Any, second: int = 1) -> Any:
    """A Detection2DArray or DetectionArray."""
    return SimpleNamespace(header=Header(stamp=Time(sec=second)), detections=list(detections))
