# SPDX-License-Identifier: Apache-2.0
"""Boxes and replay weights against the released code's RoI align."""

from __future__ import annotations

import numpy as np
import pytest

from gar_ros.engine.replay import RoiConvention, mask_boxes, replay_weights
from gar_ros.errors import ErrorCode, GarError
from tests.engine.golden import CASES, GRID, IMAGE_CASES
from tests.fixtures_golden import FindCase, FindGolden


def replay(feature_map: np.ndarray, boxes: np.ndarray, convention: RoiConvention) -> np.ndarray:
    """(C, h, w), (R, 4) normalised -> (R, C, g, g)."""
    grid = (feature_map.shape[2] // GRID, feature_map.shape[1] // GRID)
    wy, wx = replay_weights(boxes, grid, GRID, convention)
    return np.einsum("rph,chw,rqw->rcpq", wy, feature_map, wx, optimize=True)


def test_sampled_coordinates_equal_the_released_roi_align(golden_path: FindGolden) -> None:
    """The table's sampled_x, sampled_y are the mean coordinates each bin reads under the released convention."""
    table = np.load(golden_path("tables/roi_align.npz"))
    rows = zip(table["grid_wh"], table["box_xyxy"], table["sampled_x"], table["sampled_y"], strict=True)
    for (tiles_w, tiles_h), box, sampled_x, sampled_y in rows:
        wy, wx = replay_weights(box[None], (int(tiles_w), int(tiles_h)), GRID, "released")
        np.testing.assert_allclose(
            np.broadcast_to(wx[0] @ np.arange(GRID * tiles_w), (GRID, GRID)), sampled_x, atol=1e-4
        )
        np.testing.assert_allclose(
            np.broadcast_to((wy[0] @ np.arange(GRID * tiles_h))[:, None], (GRID, GRID)), sampled_y, atol=1e-4
        )


@pytest.mark.parametrize(("convention", "key"), [("released", "feat_official"), ("correct", "feat_single_scale")])
def test_replay_of_a_map_equals_the_released_roi_align(
    golden_path: FindGolden, convention: RoiConvention, key: str
) -> None:
    table = np.load(golden_path("tables/roi_align.npz"))
    np.testing.assert_allclose(replay(table["feat"], table["feat_boxes"], convention), table[key], atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_boxes_equal_the_released_ones(golden_case: FindCase, name: str) -> None:
    case = golden_case(name)
    boxes = mask_boxes(case.masks)
    np.testing.assert_array_equal(boxes, case.per_mask.boxes)
    cells = np.array([*case.grid, *case.grid]) * GRID
    np.testing.assert_allclose(boxes * cells, np.array(case.per_mask.info["roi_boxes_passed"])[:, 1:], rtol=1e-6)


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_replay_tokens_equal_the_released_ones(golden_case: FindCase, name: str) -> None:
    case = golden_case(name)
    tiles_w, tiles_h = case.grid
    tiles = case.arrays["image_features"][1:].reshape(tiles_h, tiles_w, GRID, GRID, -1)
    feature_map = tiles.transpose(4, 0, 2, 1, 3).reshape(-1, tiles_h * GRID, tiles_w * GRID)
    for variant in case.variants.values():
        ours = replay(feature_map, variant.boxes, variant.convention)
        for crop, features in zip(case.crops, ours, strict=True):
            if (key := variant.key(f"replay_{crop}")) in case.arrays:
                expected = case.arrays[key]
                np.testing.assert_allclose(features.reshape(len(features), -1).T, expected, atol=1e-5, err_msg=key)


def test_a_full_box_on_one_tile_reads_every_cell_once() -> None:
    wy, wx = replay_weights(np.array([[0.0, 0.0, 1.0, 1.0]]), (1, 1), 4, "correct")
    expected = [[0.875, 0.125, 0, 0], [0.125, 0.75, 0.125, 0], [0, 0.125, 0.75, 0.125], [0, 0, 0.125, 0.875]]
    np.testing.assert_allclose(wx[0], expected)
    np.testing.assert_allclose(wy[0], expected)


@pytest.mark.parametrize("convention", ["correct", "released"])
def test_a_region_of_one_pixel_reads_one_place(convention: RoiConvention) -> None:
    mask = np.zeros((10, 20), bool)
    mask[9, 19] = True
    for weights in replay_weights(mask_boxes([mask]), (2, 1), 4, convention):
        np.testing.assert_allclose(weights.sum(2), 1)
        np.testing.assert_array_equal(weights, np.broadcast_to(weights[:, :1], weights.shape))


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(GarError, match="20x10") as caught:
        mask_boxes([np.zeros((10, 20), bool)])
    assert caught.value.code == ErrorCode.EMPTY_MASK
