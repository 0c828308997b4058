# SPDX-License-Identifier: Apache-2.0
"""Where texts stand in space so that rviz draws none over another one or over the box that it belongs to.

rviz turns texts to its camera. Whether two of them meet depends on the view: they are kept apart in the view that
`rviz/gar.rviz` opens with and in the camera's own picture, or where z is up, in rviz's first view and from behind the
robot.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Rectangles = NDArray[np.float64]
"""(N, 4) in a view's picture: left, low, right and high edges."""
Step = tuple[int, int]
"""How often a text has moved to the side (to the right: above 0) and up from where it would stand alone."""

GAP = 0.004  # metres between a text and its box
_SIDE, _UP = 0.015, 0.008  # metres of a step
_STEPS_ASIDE, _STEPS_UP = 5, 60
_MOST_STEPS_UP = 600
_APART = 0.002  # metres around a text that stay free
_SETTLE = 0.003  # metres more around a position where a text moves to, so that it doesn't move back at once
_STAY = 0.01  # metres that another position must be better by
_NEAREST = 0.02  # metres in front of the eye where a view begins
_WIDEST = 2.0  # tangent of half the angle where it ends
_CORNERS = np.array([[number >> axis & 1 for axis in range(3)] for number in range(8)])
"""Which end of a box each of its corners takes along x, y, z."""


@dataclass(frozen=True, eq=False)
class Text:
    """width, height: as drawn, metres. position: (3,) of its centre where it stands alone. box: (2, 3) low and high
    corner of what it belongs to and must not cover; None: nothing."""

    key: Hashable
    width: float
    height: float
    position: Vector
    box: Vector | None = None


@dataclass(frozen=True, eq=False)
class View:
    """A camera. eye: (3,) its position, metres. axes: (3, 3) rows that point right, up and forward in its picture."""

    eye: Vector
    axes: Vector

    @classmethod
    def orbit(cls, focal: tuple[float, float, float], distance: float, yaw: float, pitch: float) -> View:
        """rviz's orbit view of a fixed frame. Angles in radians."""
        back = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
        right = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
        return cls(np.array(focal) + distance * back, np.stack([right, np.cross(back, right), -back]))

    def project(self, points: Vector) -> tuple[Vector, Vector]:
        """Places (..., 2) in the picture at distance 1, right and up, and distances (...); NaN for what isn't seen."""
        points = (points - self.eye) @ self.axes.T
        seen = (points[..., 2] > _NEAREST) & (np.abs(points[..., :2]).max(-1) < _WIDEST * points[..., 2])
        depth = np.where(seen, points[..., 2], np.nan)
        return points[..., :2] / depth[..., None], depth


@dataclass(frozen=True, eq=False)
class Space:
    """A kind of frame. up, right: (3,), where texts may move to. views: in which they are kept apart."""

    up: Vector
    right: Vector
    views: tuple[View, ...]


OPTICAL = Space(
    np.array([0.0, -1.0, 0.0]),
    np.array([1.0, 0.0, 0.0]),
    (
        View.orbit((0.0, 0.0, 0.46), distance=0.6, yaw=4.71, pitch=-1.2),
        View(np.zeros(3), np.diag([1.0, -1.0, 1.0])),
    ),
)
Z_UP = Space(
    np.array([0.0, 0.0, 1.0]),
    np.array([0.0, 1.0, 0.0]),
    tuple(View.orbit((0.0, 0.0, 0.0), distance=10.0, yaw=yaw, pitch=0.785) for yaw in (0.785, math.pi)),
)


def arrange(
    texts: Sequence[Text], space: Space, before: Mapping[Hashable, Step]
) -> tuple[dict[Hashable, Vector], dict[Hashable, Step]]:
    """Positions (3,) of the texts' centres, and their steps, which the next call takes as `before`.

    One text after the other takes the position nearest to its own that is free in all views. It stays there until that
    is no longer free, and then moves not far, or until a much nearer position is free.
    """
    positions: dict[Hashable, Vector] = {}
    steps: dict[Hashable, Step] = {}
    taken: list[Rectangles] = [np.empty((0, 4)) for _ in space.views]
    for text in texts:
        boxes = [_around(text.box, view) for view in space.views]
        occupied = [np.concatenate(both) for both in zip(taken, boxes, strict=True)]
        alone = _lifted(text, space, boxes)
        position, steps[text.key] = _position(text, alone, space, occupied, before.get(text.key))
        positions[text.key] = position
        here = [_rectangles(text, position[None], view, _APART) for view in space.views]
        taken = [np.concatenate(both) for both in zip(taken, here, strict=True)]
    return positions, steps


def _around(box: Vector | None, view: View) -> Rectangles:
    """(1, 4) around a box (2, 3) in a view's picture; (0, 4) around none."""
    if box is None:
        return np.empty((0, 4))
    corners, _ = view.project(box[_CORNERS, range(3)])
    return np.concatenate([corners.min(0), corners.max(0)])[None]


def _lifted(text: Text, space: Space, boxes: Sequence[Rectangles]) -> Vector:
    """The text's position moved up so far that its lower edge is above its box in every view. boxes: its own, by view.

    In a view's picture the height of the edge is (height of the text's centre - half a text) / distance.
    """
    lift = 0.0
    for view, box in zip(space.views, boxes, strict=True):
        for top in box[:, 3]:
            _, height, distance = view.axes @ (text.position - view.eye)
            _, rise, away = view.axes @ space.up
            slope = rise - top * away
            if slope > 0:  # false also for NaN: the box isn't seen
                lift = max(lift, (top * distance - height + text.height / 2 + GAP) / slope)
    return np.asarray(text.position + lift * space.up)


def _position(
    text: Text, alone: Vector, space: Space, taken: Sequence[Rectangles], before: Step | None
) -> tuple[Vector, Step]:
    """Where the text stands, and its step. alone: where it would stand without others."""
    if before is None:
        return _first_free(text, alone, space, taken, _STEPS) or (alone, (0, 0))
    step = np.array([before])
    here = _moved(alone, step, space)
    if _free(text, here, space, taken, 0.0)[0]:
        much_nearer = _STEPS[: np.searchsorted(_COSTS, _costs(step)[0] - _STAY)]
        return _first_free(text, alone, space, taken, much_nearer) or (here[0], before)
    not_far_from_here = _STEPS[np.argsort(_COSTS + _costs(_STEPS - step) / 2, kind="stable")]
    return _first_free(text, alone, space, taken, not_far_from_here) or (alone, (0, 0))


def _first_free(
    text: Text, alone: Vector, space: Space, taken: Sequence[Rectangles], steps: NDArray[np.int_]
) -> tuple[Vector, Step] | None:
    """The first free position after steps (N, 2), and its step; None when there is none."""
    start = 0
    while start < len(steps):
        some = steps[start : 4 * start + 4]  # most texts find room among the first
        positions = _moved(alone, some, space)
        free = _free(text, positions, space, taken, _SETTLE)
        if free.any():
            first = int(np.argmax(free))
            aside, up = some[first].tolist()
            return positions[first], (aside, up)
        start += len(some)
    return None


def _costs(steps: NDArray[np.int_]) -> Vector:
    """Distance (N,) of steps (N, 2) from where the text would stand alone, metres."""
    return np.hypot(steps[:, 0] * _SIDE, steps[:, 1] * _UP)


def _all_steps() -> NDArray[np.int_]:
    """(N, 2) int, the nearest first."""
    aside, up = np.arange(-_STEPS_ASIDE, _STEPS_ASIDE + 1), np.arange(_STEPS_UP)
    near = np.stack(np.meshgrid(aside, up), -1).reshape(-1, 2)
    far = np.stack([np.zeros(_MOST_STEPS_UP - _STEPS_UP, int), np.arange(_STEPS_UP, _MOST_STEPS_UP)], 1)
    steps = np.concatenate([near, far])
    return steps[np.argsort(_costs(steps), kind="stable")]


_STEPS = _all_steps()
_COSTS = _costs(_STEPS)


def _moved(position: Vector, steps: NDArray[np.int_], space: Space) -> Vector:
    """Positions (N, 3) after steps (N, 2)."""
    return np.asarray(position + steps * (_SIDE, _UP) @ np.stack([space.right, space.up]))


def _free(text: Text, positions: Vector, space: Space, taken: Sequence[Rectangles], margin: float) -> NDArray[np.bool_]:
    """Whether the text would cover no other one at each of the positions (N, 3). margin: metres kept around it."""
    free = np.ones(len(positions), bool)
    for view, occupied in zip(space.views, taken, strict=True):
        left, low, right, high = (edge[:, None] for edge in _rectangles(text, positions, view, margin).T)
        meets = (left < occupied[:, 2]) & (occupied[:, 0] < right)  # false also for NaN: one isn't seen
        meets &= (low < occupied[:, 3]) & (occupied[:, 1] < high)
        free &= ~meets.any(1)
    return free


def _rectangles(text: Text, positions: Vector, view: View, margin: float) -> Rectangles:
    """Where the text is in a view's picture, at each position (N, 3)."""
    centre, depth = view.project(positions)
    half = np.array([text.width / 2 + margin, text.height / 2 + margin]) / depth[:, None]
    return np.concatenate([centre - half, centre + half], axis=1)
