# SPDX-License-Identifier: Apache-2.0
"""Where texts stand in space so that rviz draws none over another one or over the box that it belongs to.

rviz turns texts to its camera. Whether two of them meet depends on the view: they are kept apart in the view that
`rviz/gar.rviz` opens with and in the camera's own picture, or where z is up, in rviz's first view and from behind the
robot.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
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
_STEPS_ASIDE, _STEPS_UP = 5, 12
_MOST_STEPS_UP = 600
_APART = 0.002  # metres around a text that stay free
_SETTLE = 0.003  # metres more around a position where a text moves to, so that it doesn't move back at once
_STAY = 0.02  # metres that another position must be better by
_NEAREST = 0.02  # metres in front of the eye where a view begins


@dataclass(frozen=True)
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
        """Places (..., 2) in the picture at distance 1, right and up, and distances (...); NaN where not in front."""
        seen = (points - self.eye) @ self.axes.T
        depth = np.where(seen[..., 2] > _NEAREST, seen[..., 2], np.nan)
        return seen[..., :2] / depth[..., None], depth


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

    One text after the other takes the nearest position that is free in all views. It stays there until it is no longer
    free or one much nearer is.
    """
    positions: dict[Hashable, Vector] = {}
    steps: dict[Hashable, Step] = {}
    taken: list[Rectangles] = [np.empty((0, 4)) for _ in space.views]
    for text in texts:
        occupied = [np.concatenate([there, _own(text, view)]) for there, view in zip(taken, space.views, strict=True)]
        position, steps[text.key] = _position(text, space, occupied, before.get(text.key))
        positions[text.key] = position
        here = [_rectangles(text, position[None], view, _APART) for view in space.views]
        taken = [np.concatenate(both) for both in zip(taken, here, strict=True)]
    return positions, steps


def _own(text: Text, view: View) -> Rectangles:
    """(1, 4) around the text's box in a view's picture; (0, 4) without a box."""
    if text.box is None:
        return np.empty((0, 4))
    corners, _ = view.project(_corners(text.box))
    return np.concatenate([corners.min(0), corners.max(0)])[None]


def _position(text: Text, space: Space, taken: Sequence[Rectangles], before: Step | None) -> tuple[Vector, Step]:
    alone = _lifted(text, space)
    if before is not None:
        here = _moved(alone, before, space)
        if _free(text, here[None], space, taken, 0.0)[0]:
            better = _nearest_free(text, alone, space, taken, _cost(before) - _STAY)
            return better or (here, before)
    return _nearest_free(text, alone, space, taken, math.inf) or (alone, (0, 0))


def _nearest_free(
    text: Text, alone: Vector, space: Space, taken: Sequence[Rectangles], limit: float
) -> tuple[Vector, Step] | None:
    """The free position that costs least, and its step; None when there is none that costs less than `limit`."""
    for steps in _blocks_of_steps(limit):
        positions = np.stack([_moved(alone, step, space) for step in steps])
        free = _free(text, positions, space, taken, _SETTLE)
        if free.any():
            first = int(np.argmax(free))
            return positions[first], steps[first]
    return None


def _blocks_of_steps(limit: float) -> Iterator[list[Step]]:
    """Steps that cost less than `limit`, some at a time, first those near, cheapest first in each block."""
    for start in range(0, _MOST_STEPS_UP, _STEPS_UP):
        rows, columns = range(start, start + _STEPS_UP), range(-_STEPS_ASIDE, _STEPS_ASIDE + 1)
        block = sorted(((column, row) for row in rows for column in columns), key=lambda step: (_cost(step), step))
        block = [step for step in block if _cost(step) < limit]
        if not block:
            return
        yield block


def _cost(step: Step) -> float:
    """Distance from where the text would stand alone, metres."""
    return math.hypot(step[0] * _SIDE, step[1] * _UP)


def _moved(position: Vector, step: Step, space: Space) -> Vector:
    return np.asarray(position + step[0] * _SIDE * space.right + step[1] * _UP * space.up)


def _lifted(text: Text, space: Space) -> Vector:
    """The text's position moved up so far that its lower edge is above its box in every view."""
    lift = 0.0
    for view in space.views:
        if text.box is None:
            break
        top = np.max(view.project(_corners(text.box))[0][:, 1])
        rise = view.axes[1:] @ space.up
        _, height, depth = view.axes @ (text.position - view.eye)
        slope = rise[0] - top * rise[1]
        if slope > 0:  # false also for NaN: the box isn't seen
            lift = max(lift, (top * depth - height + text.height / 2 + GAP) / slope)
    return np.asarray(text.position + lift * space.up)


def _free(text: Text, positions: Vector, space: Space, taken: Sequence[Rectangles], margin: float) -> NDArray[np.bool_]:
    """Whether the text would cover no other one at each of the positions (N, 3). margin: metres kept around it."""
    free = np.ones(len(positions), bool)
    for view, occupied in zip(space.views, taken, strict=True):
        mine, others = _rectangles(text, positions, view, margin)[:, None], occupied[None]
        apart = (mine[..., :2] >= others[..., 2:]) | (others[..., :2] >= mine[..., 2:])
        unseen = np.isnan(mine[..., 0]) | np.isnan(others[..., 0])
        free &= (apart.any(-1) | unseen).all(-1)
    return free


def _rectangles(text: Text, positions: Vector, view: View, margin: float) -> Rectangles:
    """Where the text is in a view's picture, at each position (N, 3)."""
    centre, depth = view.project(positions)
    half = np.array([text.width / 2 + margin, text.height / 2 + margin]) / depth[:, None]
    return np.concatenate([centre - half, centre + half], axis=1)


def _corners(box: Vector) -> Vector:
    """(8, 3) of a box (2, 3)."""
    return np.stack(np.meshgrid(*box.T), -1).reshape(8, 3)
