# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from gar_ros.region import Box, Region
from gar_ros.view.labels import Spot, arrange_labels

SIZE = (640, 480)


def boxes(*corners: Box, size: tuple[int, int] = SIZE) -> list[Region]:
    return [Region.from_box(str(i), box, size) for i, box in enumerate(corners)]


def overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def rectangles(spots: list[Spot], sizes: list[tuple[int, int]]) -> list[Box]:
    return [
        (spot.x, spot.y, spot.x + width, spot.y + height) for spot, (width, height) in zip(spots, sizes, strict=True)
    ]


def scattered(count: int, seed: int) -> list[Region]:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, (600, 440), (count, 2)).tolist()
    return boxes(*[(x, y, x + 40, y + 40) for x, y in corners])


def assert_apart_and_inside(spots: list[Spot], sizes: list[tuple[int, int]]) -> None:
    placed = rectangles(spots, sizes)
    for i, first in enumerate(placed):
        assert first[0] >= 0 and first[1] >= 0 and first[2] <= SIZE[0] and first[3] <= SIZE[1]
        for second in placed[i + 1 :]:
            assert not overlap(first, second)


def test_a_label_stands_beside_its_region_and_not_on_it() -> None:
    (region,) = boxes((300, 200, 340, 240))
    (spot,) = arrange_labels([region], [(60, 20)], SIZE)
    label = (spot.x, spot.y, spot.x + 60, spot.y + 20)
    assert spot.free and not overlap(label, region.box)
    near = (region.box[0] - 8, region.box[1] - 8, region.box[2] + 8, region.box[3] + 8)
    assert overlap(label, near)


@pytest.mark.parametrize("corner", [(0, 0), (600, 0), (0, 440), (600, 440)])
def test_a_region_in_a_corner_keeps_its_label_inside(corner: tuple[int, int]) -> None:
    region = boxes((corner[0], corner[1], corner[0] + 40, corner[1] + 40))
    sizes = [(150, 60)]
    spots = arrange_labels(region, sizes, SIZE)
    assert spots[0].free
    assert_apart_and_inside(spots, sizes)


@pytest.mark.parametrize("seed", range(3))
def test_labels_do_not_cover_each_other_while_there_is_room(seed: int) -> None:
    sizes = [(90, 20)] * 40
    spots = arrange_labels(scattered(40, seed), sizes, SIZE)
    assert all(spot.free for spot in spots)
    assert_apart_and_inside(spots, sizes)


def test_regions_at_one_place_get_labels_side_by_side() -> None:
    sizes = [(100, 24)] * 6
    spots = arrange_labels(boxes(*[(300, 200, 320, 220)] * 6), sizes, SIZE)
    assert all(spot.free for spot in spots)
    assert_apart_and_inside(spots, sizes)


def test_a_label_avoids_the_other_regions() -> None:
    regions = boxes((300, 200, 340, 240), (280, 100, 360, 195))
    (spot, _) = arrange_labels(regions, [(40, 20), (40, 20)], SIZE)
    assert not overlap((spot.x, spot.y, spot.x + 40, spot.y + 20), regions[1].box)


def test_a_small_object_on_a_table_is_not_covered_by_the_tables_label() -> None:
    regions = boxes((0, 0, 640, 480), (310, 230, 330, 250))
    spots = arrange_labels(regions, [(80, 20), (80, 20)], SIZE)
    for box in rectangles(spots, [(80, 20), (80, 20)]):
        assert not overlap(box, regions[1].box)


def test_without_room_labels_overlap_and_say_so() -> None:
    sizes = [(400, 300)] * 3
    spots = arrange_labels(boxes((0, 0, 9, 9), (50, 50, 60, 60), (99, 99, 120, 120)), sizes, SIZE)
    assert sorted(spot.free for spot in spots) == [False, False, True]
    assert all(spot.x + 400 <= 640 and spot.y + 300 <= 480 for spot in spots)


def test_a_label_larger_than_the_image_starts_at_its_corner() -> None:
    (spot,) = arrange_labels(boxes((2, 2, 8, 8), size=(20, 10)), [(200, 30)], (20, 10))
    assert (spot.x, spot.y) == (0, 0)


def test_two_hundred_regions_are_placed_and_twice_alike() -> None:
    regions, sizes = scattered(200, 7), [(30, 14)] * 200
    spots = arrange_labels(regions, sizes, SIZE)
    assert spots == arrange_labels(regions, sizes, SIZE)
    assert_apart_and_inside(spots, sizes)


def test_regions_smaller_than_a_grid_cell_of_a_large_image_are_placed() -> None:
    large = (4001, 3003)
    regions = boxes((4000, 3002, 4001, 3003), (3999, 0, 4001, 1), size=large)
    for spot in arrange_labels(regions, [(300, 80)] * 2, large):
        assert spot.free and spot.x + 300 <= 4001 and spot.y + 80 <= 3003
