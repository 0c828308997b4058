# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import colorsys
import itertools

from gar_ros.view.colours import region_colour, text_colour_on


def hue(region_id: str) -> float:
    return colorsys.rgb_to_hsv(*(channel / 255 for channel in region_colour(region_id)))[0]


def test_a_colour_is_the_same_in_every_run() -> None:
    assert region_colour("1") == (38, 100, 255)
    assert region_colour("mug_7") == region_colour("mug_7")


def test_neighbouring_numbers_are_far_apart() -> None:
    for prefix in ("", "mug_", "track"):
        hues = [hue(f"{prefix}{number}") for number in range(1, 30)]
        for first, second in itertools.pairwise(hues):
            distance = abs(first - second)
            assert min(distance, 1 - distance) > 0.15


def test_eight_instances_all_differ_visibly() -> None:
    colours = [region_colour(str(number)) for number in range(1, 9)]
    for i, first in enumerate(colours):
        for second in colours[i + 1 :]:
            assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 60


def test_ids_of_any_kind_have_a_colour() -> None:
    for region_id in ("", "red mug", "чашка", "42" * 40):
        assert all(0 <= channel <= 255 for channel in region_colour(region_id))


def test_text_on_a_colour_is_black_or_white_whichever_contrasts() -> None:
    assert text_colour_on((255, 255, 0)) == (0, 0, 0)
    assert text_colour_on((0, 0, 200)) == (255, 255, 255)
