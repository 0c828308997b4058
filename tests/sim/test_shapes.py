# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gar_ros.sim.scene import SHAPES, SceneObject
from gar_ros.sim.shapes import MAX_PARTS, Part, half_height, is_upright, opening, parts_of, reach
from gar_ros.sim.transforms import about_axis, to_matrix
from tests.sim.tabletop import thing

LYING = about_axis((0.0, 1.0, 0.0), math.pi / 2)


def extreme_points(part: Part) -> np.ndarray:
    """Corners of the part's bounding box in the object's frame."""
    radius = part.half[0]
    half = {
        "box": part.half,
        "sphere": (radius, radius, radius),
        "cylinder": (radius, radius, part.half[1]),
        "capsule": (radius, radius, part.half[1] + radius),
    }[part.kind]
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    return np.array(part.position) + corners @ to_matrix(part.orientation).T


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_end_where_the_dimensions_say(shape: str) -> None:
    item = thing(shape, 0.0, 0.0)
    points = np.concatenate([extreme_points(part) for part in parts_of(item)])
    assert len(parts_of(item)) <= MAX_PARTS
    assert np.ptp(points[:, 2]) == pytest.approx(item.dimensions[2], abs=1e-6)
    assert np.ptp(points[:, 1]) == pytest.approx(item.dimensions[1], rel=0.06)  # flat wall segments stand out a little


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_of_an_object_is_farther_from_its_centre_than_its_reach(shape: str) -> None:
    item = thing(shape, 0.0, 0.0)
    for part in parts_of(item):
        if part.kind in ("box", "cylinder"):
            points = extreme_points(part)
            farthest = np.linalg.norm(points, axis=1).max()
            if part.kind == "cylinder":  # around the object's axis: a circle, not its bounding square
                farthest = math.hypot(part.half[0], np.abs(points[:, 2]).max())
        else:
            axis = to_matrix(part.orientation)[:, 2] * (part.half[1] if part.kind == "capsule" else 0.0)
            farthest = part.half[0] + max(np.linalg.norm(np.array(part.position) + side * axis) for side in (-1, 1))
        assert farthest <= reach(item) + 1e-9


@pytest.mark.parametrize(
    ("shape", "upright", "lying"),
    [("box", 0.03, 0.03), ("ball", 0.03, 0.03), ("cylinder", 0.035, 0.025), ("capsule", 0.045, 0.02)],
)
def test_half_height_follows_the_orientation(shape: str, upright: float, lying: float) -> None:
    item = thing(shape, 0.0, 0.0)
    assert half_height(item) == pytest.approx(upright)
    assert half_height(replace(item, orientation=LYING)) == pytest.approx(lying)
    assert is_upright(item)
    assert not is_upright(replace(item, orientation=LYING))


def test_a_bowl_is_open_and_wider_at_its_rim() -> None:
    base, rim = opening(thing("bowl", 0.0, 0.0))  # 0.10 m wide
    assert 0.02 < base < rim < 0.05


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="pyramid"):
        parts_of(SceneObject("pyramid", "red", "small", "plain", (0.1, 0.1, 0.1)))
