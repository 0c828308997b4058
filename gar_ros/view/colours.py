# SPDX-License-Identifier: Apache-2.0
"""Colours of region ids, the same in all frames, runs and machines."""

from __future__ import annotations

import colorsys
import re
import zlib

import numpy as np

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255 each."""

_GOLDEN_RATIO = 0.6180339887498949
# Hues in degrees that look equally far apart: HSV spends a third of its circle on greens that look alike.
_HUE_KNOTS = (0, 22, 40, 54, 85, 145, 178, 200, 222, 252, 282, 312, 340, 360)
_TRAILING_NUMBER = re.compile(r"(\d{1,9})$")


def region_colour(region_id: str) -> Colour:
    """The saturated colour of a region id, a pure function of the text.

    Ids that differ only in their trailing number ("mug_1", "mug_2", ...) step around the hue circle by the golden
    ratio, so that consecutive numbers have hues far apart. The text before the number sets the start by its CRC-32.
    """
    number = _TRAILING_NUMBER.search(region_id)
    stem = region_id[: number.start()] if number else region_id
    start = zlib.crc32(stem.encode()) / 2**32
    step = int(number.group()) if number else 0
    turn = (start + step * _GOLDEN_RATIO) % 1.0
    hue = np.interp(turn * (len(_HUE_KNOTS) - 1), range(len(_HUE_KNOTS)), _HUE_KNOTS) / 360.0
    value = (1.0, 0.8)[step // 8 % 2]  # after eight steps hues come close again, so they get darker
    red, green, blue = colorsys.hsv_to_rgb(float(hue), 0.85, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour_on(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on `background` (by its ITU-R BT.601 luma)."""
    luma = (299 * background[0] + 587 * background[1] + 114 * background[2]) / 1000
    return (0, 0, 0) if luma > 128 else (255, 255, 255)
