# SPDX-License-Identifier: Apache-2.0
"""What rviz2 draws of our texts and boxes, by the rules of its own sources, and what of it overlaps in a view."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from visualization_msgs.msg import Marker

CONFIG = Path(__file__).parents[1] / "rviz" / "gar.rviz"

# Advance widths of Liberation Sans as rviz renders it, at 24 pixels: of 27, the height of a line.
PIXELS = {5: "'ijl", 6: "|", 7: "!,./:;I[\\]ft", 8: "()-`r{}", 9: '"*', 11: "^", 12: "Jcksvxyz", 13: "#$0123456789?L_"}
PIXELS |= {14: "+<=>~", 15: "FTZ", 16: "&ABEKPSVXY", 17: "CDHNRUw", 19: "GOQ", 20: "Mm", 21: "%", 23: "W", 24: "@"}
PIXELS[13] += "abdeghnopqu"
LINE_PIXELS = 27
ASPECT = {character: pixels / LINE_PIXELS for pixels, characters in PIXELS.items() for character in characters}
LINE_SPACING = 0.01

Name = tuple[str, int]
"""Namespace and number of a marker."""


def drawn_size(marker: Marker) -> tuple[float, float]:
    """Width and height in metres at which rviz draws a text.

    rviz's MovableText lays a text out with glyphs of height 2 * scale.z, lines 0.01 apart and spaces of width scale.x,
    and then draws the layout at half its size. A character that the font lacks would be an error of ours.
    """
    lines = marker.text.split("\n")
    glyph = 2 * marker.scale.z
    widths = [sum(marker.scale.x if c == " " else ASPECT[c] * glyph for c in line) for line in lines]
    return max(widths) / 2, (len(lines) * glyph + (len(lines) - 1) * LINE_SPACING) / 2


@dataclass(frozen=True)
class Eye:
    """A camera. position: metres. right, up, forward: of its picture."""

    position: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]
    forward: NDArray[np.float64]

    @classmethod
    def orbit(cls, focal: Sequence[float], distance: float, yaw: float, pitch: float) -> Eye:
        """rviz's Orbit view: its camera looks at the focal point, upright about the fixed frame's z axis."""
        forward = -np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return cls(np.array(focal) - distance * forward, right, np.cross(right, forward), forward)

    @classmethod
    def shipped(cls) -> Eye:
        """The view that our configuration opens with."""
        view = yaml.safe_load(CONFIG.read_text())["Visualization Manager"]["Views"]["Current"]
        focal = [view["Focal Point"][axis] for axis in "XYZ"]
        return cls.orbit(focal, view["Distance"], view["Yaw"], view["Pitch"])

    def picture(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) right and up in the picture at distance 1, of points (N, 3) before the camera."""
        seen = points - self.position
        depth = seen @ self.forward
        assert depth.min() > 0, "behind the camera"
        return np.stack([seen @ self.right, seen @ self.up], 1) / depth[:, None]


OPTICAL = Eye(*np.array([[0.0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1]]))
"""The picture of the camera that measured."""
FIRST_VIEW = Eye.orbit((0.0, 0.0, 0.0), 10.0, 0.785398, 0.785398)
"""What rviz opens with when it has no configuration."""
BEHIND_ROBOT = Eye.orbit((0.0, 0.0, 0.0), 10.0, math.pi, 0.785398)
EYES = {False: (Eye.shipped(), OPTICAL), True: (FIRST_VIEW, BEHIND_ROBOT)}
"""By whether z is up, from where texts must be legible."""


def text_outline(marker: Marker, eye: Eye) -> NDArray[np.float64]:
    """(4, 2) corners in the picture: rviz turns every text to its camera, centred at the marker's position."""
    width, height = drawn_size(marker)
    position = marker.pose.position
    centre = np.array([position.x, position.y, position.z])
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return eye.picture(np.array([centre + x * width / 2 * eye.right + y * height / 2 * eye.up for x, y in corners]))


def box_outline(marker: Marker, eye: Eye) -> NDArray[np.float64]:
    """(N, 2) convex outline in the picture of a box drawn as lines."""
    seen = eye.picture(np.array([(point.x, point.y, point.z) for point in marker.points]))
    return np.asarray(cv2.convexHull(seen.astype(np.float32))[:, 0])


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether two convex outlines share more than a sliver of the picture."""
    scale = np.float32(1e3)  # OpenCV's tolerance is meant for pixels
    area, _ = cv2.intersectConvexConvex(first.astype(np.float32) * scale, second.astype(np.float32) * scale)
    return area > 1e-2


def overlaps(markers: Sequence[Marker], eye: Eye) -> Iterator[tuple[Name, Name]]:
    """Texts that cover one another, and labels that cover the box they belong to."""
    shown = {(one.ns, one.id): one for one in markers if one.action == Marker.ADD}
    texts = {name: text_outline(one, eye) for name, one in shown.items() if one.type == Marker.TEXT_VIEW_FACING}
    for (first, outline), (second, other) in combinations(texts.items(), 2):
        if overlap(outline, other):
            yield first, second
    for (space, number), one in shown.items():
        if space == "boxes" and overlap(box_outline(one, eye), texts["labels", number]):
            yield ("boxes", number), ("labels", number)
