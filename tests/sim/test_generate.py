# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from gar_ros.sim.contact import YES, gaps_between, rests_in, rests_on
from gar_ros.sim.generate import in_view, random_scene
from gar_ros.sim.scene import COLOURS, FINISHES, MAX_OBJECTS, SHAPES, SIZES, Scene
from gar_ros.sim.shapes import half_height


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [random_scene(seed) for seed in range(120)]


def test_the_same_seed_gives_the_same_scene(scenes: list[Scene]) -> None:
    assert random_scene(5) == scenes[5]
    assert random_scene(np.random.default_rng(5)) == scenes[5]
    assert scenes[5] != scenes[6]


def test_the_number_of_objects_is_in_the_wanted_range(scenes: list[Scene]) -> None:
    assert {len(scene.objects) for scene in scenes} == set(range(3, 9))
    assert len(random_scene(0, (1, 1)).objects) == 1
    assert len(random_scene(0, (MAX_OBJECTS, MAX_OBJECTS)).objects) == MAX_OBJECTS


@pytest.mark.parametrize("count", [(0, 3), (4, 3), (3, MAX_OBJECTS + 1)])
def test_an_impossible_number_of_objects_is_refused(count: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="objects"):
        random_scene(0, count)


def test_objects_never_overlap_one_another_or_the_table(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        assert gaps_between(scene.objects, 0.01).min() > 0.0001
        assert min(item.position[2] - half_height(item) for item in scene.objects) > -1e-9


def test_gaps_are_clearly_closed_or_clearly_open(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        gaps = gaps_between(scene.objects, 0.01)
        assert not ((gaps > 0.0012) & (gaps < 0.01)).any()


def test_every_object_is_in_the_picture(scenes: list[Scene]) -> None:
    assert all(in_view(scene.camera, scene.objects) for scene in scenes)


def test_stacked_inside_and_touching_are_common(scenes: list[Scene]) -> None:
    pairs = [[(one, two) for one in scene.objects for two in scene.objects if one is not two] for scene in scenes]
    stacked = np.mean([any(rests_on(*pair) == YES for pair in some) for some in pairs])
    inside = np.mean([any(rests_in(*pair) == YES for pair in some) for some in pairs])
    touching = np.mean([(gaps_between(scene.objects, 0.01) < 0.001).any() for scene in scenes])
    assert 0.25 < stacked < 0.65
    assert 0.2 < inside < 0.6
    assert touching > 0.6


def test_attributes_are_evenly_spread(scenes: list[Scene]) -> None:
    objects = [item for scene in scenes for item in scene.objects]
    for name, values in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES), ("finish", FINISHES)):
        counts = Counter(getattr(item, name) for item in objects)
        assert set(counts) == set(values)
        assert max(counts.values()) < 1.4 * len(objects) / len(values), f"{name}: {counts}"


def test_large_is_much_larger_than_small(scenes: list[Scene]) -> None:
    extents: dict[str, list[float]] = {size: [] for size in SIZES}
    for scene in scenes:
        for item in scene.objects:
            extents[item.size].append(math.prod(item.dimensions) ** (1 / 3))
    assert min(extents["large"]) > 1.4 * max(extents["small"])
