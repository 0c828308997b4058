# SPDX-License-Identifier: Apache-2.0
"""The measurement of tiling compares this checkout with another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine import tiling
from tools.tiling import compared, load_tiling, photograph

CHECKOUT = Path(__file__).resolve().parents[2]


def test_another_checkouts_code_is_its_own() -> None:
    other = load_tiling(CHECKOUT)
    assert other is not tiling and other.bicubic.__module__ == "other_resize"
    before, after, ratio = compared(other.tile_pixels, tiling.tile_pixels, (photograph(30, 20), (2, 1), 16), 1)
    assert before > 0 and after > 0 and ratio > 0


def test_other_pixels_end_the_run() -> None:
    with pytest.raises(AssertionError):
        compared(np.zeros, np.ones, (3,), 1)


def test_a_folder_without_the_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected a checkout of gar_ros"):
        load_tiling(tmp_path)
