# SPDX-License-Identifier: Apache-2.0
"""The demo planner's calls to the GAR node, and the simulator's truth about the image that each call is about."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from gar_ros.client import RegionClient
from gar_ros.demo.judge import object_index
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_rgb
from gar_ros.messages.regions import region_of
from gar_ros.msg import Answer, SceneGraph
from gar_ros.region import Region
from gar_ros.sim.questions import Question
from gar_ros.sim.timeline import Timeline
from gar_ros.sim.truth import SceneTruth, scene_truth
from gar_ros.srv import FindRegions

_OVERLAY_SECONDS = 10.0
_IMAGES_KEPT = 30  # three seconds at the camera's rate
_DESCRIPTION_TOKENS = 24
_ALL_PAIRS = 1000
_GRAPH_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Look:
    """The regions that the GAR node lists of the image of one stamp, and the simulator's truth about them."""

    stamp: Time
    regions: list[Region]
    truth: SceneTruth

    @property
    def ids(self) -> list[str]:
        """The regions' ids."""
        return [region.id for region in self.regions]

    def ids_of(self, question: Question) -> list[str]:
        """The ids of the regions that a question is about, in the order of its prompts. Raises GarError."""
        ids = {object_index(region): region for region in self.ids}
        missing = [index for index in question.regions if index not in ids]
        if missing:
            raise GarError(ErrorCode.UNKNOWN_REGION, f"expected regions of objects {missing}, got {self.ids}")
        return [ids[index] for index in question.regions]


class Asker:
    """All that it knows of the world comes from the GAR node; the seed only serves to judge the answers.

    Each call is about the image of a given stamp, whatever came since: only so is the truth exact. All raise GarError.
    """

    def __init__(self, node: Node, seed: int, pictures: bool) -> None:
        """seed: of the camera's scene. pictures: whether `overlay` and `save_pictures` will be called."""
        self._node = node
        self._client = RegionClient(node)
        self._timeline = Timeline(seed)
        self._camera: CameraInfo | None = None
        self._overlay: Image | None = None
        self._images: deque[Image] = deque(maxlen=_IMAGES_KEPT)
        node.create_subscription(CameraInfo, "camera_info", self._keep_camera, qos_profile_sensor_data)
        if pictures:
            node.create_subscription(Image, "gar/overlay", self._keep_overlay, QoSProfile(depth=1))
            node.create_subscription(Image, "image_raw", self._keep_image, qos_profile_sensor_data)

    def look(self, stamp: Time | None = None, timeout: float = 5.0) -> Look:
        """The regions of the image of a stamp, of the newest one without; poses from seed and stamp are their truth."""
        listed = self._client.list_regions(stamp=stamp, with_masks=True, timeout=timeout)
        if self._camera is None:
            raise GarError(ErrorCode.NO_FRAME, f"no message on {self._node.resolve_topic_name('camera_info')}")
        at, size = stamp_ns(listed.header.stamp), (self._camera.width, self._camera.height)
        regions = [region_of(region, size, at) for region in listed.regions]
        return Look(listed.header.stamp, regions, scene_truth(self._timeline.at(at), label_image(regions, size)))

    def ask(self, question: Question, look: Look) -> Answer:
        """The answer to one question."""
        return self._client.query(question.text, look.ids_of(question), choices=question.choices, stamp=look.stamp)

    def describe(self, question: Question, look: Look) -> Answer:
        """The description of the one region that the question is about."""
        (answer,) = self._client.describe(look.ids_of(question), stamp=look.stamp, max_tokens=_DESCRIPTION_TOKENS)
        return answer

    def scene_graph(self, predicates: Sequence[str], threshold: float, look: Look) -> SceneGraph:
        """The relations between all regions that have at least the probability `threshold`."""
        return self._client.scene_graph(
            predicates=predicates,
            threshold=threshold,
            max_pairs=_ALL_PAIRS,
            stamp=look.stamp,
            timeout=_GRAPH_SECONDS,
        )

    def find(self, words: str, look: Look) -> FindRegions.Response:
        """The regions that fit the words."""
        return self._client.find(words, stamp=look.stamp)

    def overlay(self) -> NDArray[np.uint8]:
        """The overlay (H, W, 3) RGB of an image taken after this call."""
        return image_rgb(self._next_overlay())

    def save_pictures(self, folder: Path) -> None:
        """Writes overlay.png and, of the same image, camera.png and a mask_ID.png for each region."""
        overlay = self._next_overlay()
        look = self.look(overlay.header.stamp)
        image = next((image for image in self._images if image.header.stamp == look.stamp), None)
        if image is None:
            topic = self._node.resolve_topic_name("image_raw")
            raise GarError(ErrorCode.NO_FRAME, f"the overlay's image did not come on {topic}")
        write_png(folder / "camera.png", image_rgb(image))
        for region in look.regions:
            write_png(folder / f"mask_{object_index(region.id) + 1}.png", 255 * region.mask.astype(np.uint8))
        write_png(folder / "overlay.png", image_rgb(overlay))

    def _next_overlay(self) -> Image:
        """The first overlay of an image taken after this call."""
        now, deadline = self._node.get_clock().now().nanoseconds, time.monotonic() + _OVERLAY_SECONDS
        while self._overlay is None or stamp_ns(self._overlay.header.stamp) <= now:
            if time.monotonic() > deadline:
                raise GarError(ErrorCode.NO_FRAME, f"no overlay of a new image came within {_OVERLAY_SECONDS:g} s")
            rclpy.spin_once(self._node, timeout_sec=0.1)
        return self._overlay

    def _keep_camera(self, info: CameraInfo) -> None:
        self._camera = info

    def _keep_image(self, image: Image) -> None:
        self._images.append(image)

    def _keep_overlay(self, picture: Image) -> None:
        self._overlay = picture


def label_image(regions: Sequence[Region], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The label image (H, W) uint8 that has these regions. size: (width, height)."""
    labels = np.zeros((size[1], size[0]), np.uint8)
    for region in regions:
        labels[region.mask] = object_index(region.id) + 1
    return labels


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a mask (H, W) or a picture (H, W, 3) RGB, uint8."""
    _, png = cv2.imencode(".png", picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    path.write_bytes(png.tobytes())
