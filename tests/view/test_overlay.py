# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from gar_ros.view.colours import region_colour
from gar_ros.view.overlay import FILL_OPACITY, draw_overlay

GREY = 90


def grey(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def box_region(region_id: str, box: tuple[int, int, int, int]) -> Region:
    return Region.from_box(region_id, box, (640, 480))


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (before != after).any(axis=2)


def test_the_image_itself_is_left_alone() -> None:
    image = grey()
    overlay = draw_overlay(image, [box_region("1", (100, 100, 200, 200))], {"1": "red"})
    assert (image == GREY).all()
    assert overlay.shape == image.shape and overlay.dtype == np.uint8 and changed(image, overlay).any()


def test_nothing_to_show_changes_nothing() -> None:
    assert (draw_overlay(grey(), [], {"7": "gone"}) == GREY).all()


def test_the_inside_is_tinted_in_the_colour_of_the_id() -> None:
    overlay = draw_overlay(grey(), [box_region("mug_3", (100, 100, 200, 200))], {})
    expected = np.array([GREY] * 3) * (1 - FILL_OPACITY) + np.array(region_colour("mug_3")) * FILL_OPACITY
    assert np.abs(overlay[150, 150] - expected).max() <= 1


def test_only_the_region_and_its_label_change() -> None:
    overlay = draw_overlay(grey(), [box_region("1", (300, 200, 340, 240))], {"1": "yes"})
    rows, columns = np.nonzero(changed(grey(), overlay))
    assert columns.min() > 220 and columns.max() < 420 and rows.min() > 140 and rows.max() < 300


def test_a_caption_makes_the_label_larger() -> None:
    region = box_region("1", (300, 200, 340, 240))
    plain = changed(grey(), draw_overlay(grey(), [region], {})).sum()
    with_caption = changed(grey(), draw_overlay(grey(), [region], {"1": "a small red striped mug"})).sum()
    assert with_caption > plain + 1000


def test_labels_scale_with_the_image() -> None:
    small, large = grey(320, 240), grey(1280, 960)
    small_area = changed(small, draw_overlay(small, [Region.from_box("1", (100, 100, 104, 104), (320, 240))], {})).sum()
    large_area = changed(
        large, draw_overlay(large, [Region.from_box("1", (400, 400, 416, 416), (1280, 960))], {})
    ).sum()
    assert 8 < large_area / small_area < 24


def test_a_mask_with_a_hole_is_filled_around_it_only() -> None:
    mask = np.zeros((480, 640), bool)
    mask[100:300, 100:300] = True
    mask[150:250, 150:250] = False
    overlay = draw_overlay(grey(), [Region.from_mask("1", mask)], {})
    assert (overlay[160, 160] == GREY).all() and not (overlay[120, 120] == GREY).all()


def test_a_small_region_on_a_large_one_stays_visible() -> None:
    mug, table = box_region("1", (300, 200, 360, 260)), box_region("2", (0, 100, 640, 480))
    overlay = draw_overlay(grey(), [mug, table], {})
    assert np.abs(overlay[230, 330].astype(int) - overlay[400, 100]).max() > 30


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (40, 30), (2000, 20)])
def test_images_of_odd_sizes_work(size: tuple[int, int]) -> None:
    image = grey(*size)
    overlay = draw_overlay(
        image, [Region.from_box("track_000123456789", (0, 0, 1, 1), size)], {"track_000123456789": "red"}
    )
    assert overlay.shape == image.shape


def test_long_and_foreign_answers_are_drawn() -> None:
    region = box_region("1", (300, 200, 340, 240))
    for caption in ("word " * 500, "x" * 3000, "żółty kubek", "咖啡杯", "\n\t\x00"):
        overlay = draw_overlay(grey(), [region], {"1": caption})
        rows, _ = np.nonzero(changed(grey(), overlay))
        assert rows.max() - rows.min() < 200


def test_two_hundred_captioned_regions_are_drawn() -> None:
    rng = np.random.default_rng(1)
    regions = [
        box_region(str(i), (x, y, x + 20, y + 20)) for i, (x, y) in enumerate(rng.integers(0, 440, (200, 2)).tolist())
    ]
    overlay = draw_overlay(grey(), regions, {str(i): "a small red mug" for i in range(200)})
    assert changed(grey(), overlay).mean() > 0.2


def test_text_stands_out_from_any_background() -> None:
    region = box_region("1", (300, 200, 340, 240))
    for level in (0, 128, 255):
        image = np.full((480, 640, 3), level, np.uint8)
        luma = cv2.cvtColor(draw_overlay(image, [region], {"1": "a red mug"}), cv2.COLOR_RGB2GRAY)
        plate = luma[changed(image, draw_overlay(image, [region], {"1": "a red mug"}))]
        assert (plate > 230).sum() > 50 and (plate < 60).sum() > 1000


@pytest.mark.parametrize(
    "image", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 4), np.uint8), np.zeros((480, 640, 3))]
)
def test_other_images_are_refused(image: NDArray) -> None:
    with pytest.raises(GarError) as error:
        draw_overlay(image, [], {})
    assert error.value.code is ErrorCode.INVALID_REQUEST


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(GarError, match="640x480"):
        draw_overlay(grey(), [Region.from_box("1", (0, 0, 5, 5), (64, 48))], {})
