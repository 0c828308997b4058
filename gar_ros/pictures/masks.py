# SPDX-License-Identifier: Apache-2.0
"""The region that a mask picture shows, by what the picture looks like.

Inside is what is bright on black, whatever numbers stand for it: 0 and 1, 1 and 255, a palette, one colour, 16 bits.
Where a picture is transparent in part, inside is what is opaque, unless that is itself white on black. Other pictures
are refused, because each guess about them would answer for another region: one colour all over, several labels, no
black, black within what is bright.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's 16-bit grey."""
OPEN_MODES = ("I", "F")
"""Pillow's 32 bits, without a known white."""

_Values = NDArray[Any]
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_LOSSLESS = ("PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "TGA", "PCX", "ICO", "SGI")
_BLACK = 0.25  # at most, of the brightest value
_NOISE = 64  # levels of 8 bits by which lossy files are off at an edge
_MIXED = 24  # levels of 8 bits by which a smooth edge is off the line between two colours
_AROUND = 0.9  # of the picture's border
_NEIGHBOURS = np.ones((3, 3), np.uint8)


class UnclearMaskError(Exception):
    """Says why a picture is no mask."""


def inside(picture: Image.Image) -> NDArray[np.bool_]:
    """(H, W) bool: True inside the region; nowhere for a picture that is black all over. Raises UnclearMaskError."""
    lossy = picture.format is not None and picture.format not in _LOSSLESS
    if picture.mode in DEEP_MODES + OPEN_MODES:
        values = np.asarray(picture)
        if not np.isfinite(values).all() or values.min() < 0:
            raise UnclearMaskError("got negative or infinite numbers, or NaN")
        return _bright_on_black(values.astype(np.float32)[..., None], lossy=False)
    if picture.mode not in _WITH_ALPHA and "transparency" not in picture.info:
        return _bright_on_black(np.asarray(picture.convert("RGB")), lossy)
    pixels = np.asarray(picture.convert("RGBA"))
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    if opacity.min() == opacity.max():
        if opacity.max() == 0:
            raise UnclearMaskError("got a picture that is transparent all over")
        return _bright_on_black(colours, lossy)
    opaque = _bright(opacity, lossy=False)
    if _is_black_and_white(colours[opaque]):  # a mask with a transparent border, as of the model's released demo
        shown = colours.astype(np.uint16) * opacity // 255
        return _bright_on_black(shown.astype(np.uint8), lossy)
    return opaque


def _bright_on_black(colours: _Values, lossy: bool) -> NDArray[np.bool_]:
    """What is bright in colours (H, W, C), if it is on black and not around it."""
    bright = _bright(colours, lossy)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    if border.mean() > _AROUND and bright.mean() > 0.5:
        raise UnclearMaskError(
            "which is bright on black, got black within what is bright, as if inverted; if the region does surround "
            "another one, make it opaque on a transparent background"
        )
    return bright


def _bright(colours: _Values, lossy: bool) -> NDArray[np.bool_]:
    """What is bright in colours (H, W, C)."""
    value = colours.max(-1)
    top = float(value.max())
    if top == 0 or (lossy and top < _NOISE):
        return np.zeros(value.shape, bool)
    black, bright = value <= _BLACK * top, value > top / 2
    if not black.any():
        raise UnclearMaskError(
            "which is bright on black, got nothing black; for a region of the whole picture give a box around it"
        )
    if _has_several_levels(value, top, lossy) or _has_several_colours(colours, black, bright, lossy):
        raise UnclearMaskError("which is one shape in one colour on black, got several: write a picture for each")
    return bright


def _has_several_levels(value: _Values, top: float, lossy: bool) -> bool:
    """Whether an area is of a grey between inside and outside; smooth edges change from pixel to pixel."""
    levels, counts = _levels(value)
    if lossy:
        between = (value > _BLACK * top) & (value < 0.9 * top)
    elif len(levels) <= 4:
        outside, inside = levels <= _BLACK * top, levels > top / 2
        ends = [levels[end][counts[end].argmax()] for end in (outside, inside)]
        between = (value != ends[0]) & (value != ends[1])
    else:
        between = (value > 0.02 * top) & (value < 0.98 * top)
    flat = cv2.dilate(value, _NEIGHBOURS) == cv2.erode(value, _NEIGHBOURS)
    return bool((between & flat).any())


def _levels(value: _Values) -> tuple[_Values, NDArray[np.int64]]:
    """The different values in ascending order, and how often each occurs."""
    if value.dtype != np.uint8:
        return np.unique(value, return_counts=True)
    counts = np.bincount(value.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    return levels, counts[levels]


def _has_several_colours(colours: _Values, black: NDArray[np.bool_], bright: NDArray[np.bool_], lossy: bool) -> bool:
    """Whether what is bright has a colour that no mixture of one colour and the black around it makes."""
    if colours.shape[-1] == 1:
        return False
    inside = colours[bright]
    outside = np.median(_some(colours[black]), 0)
    one = np.median(_some(inside), 0) if lossy else _most_frequent(_some(inside))
    different, where = np.unique(_packed(inside), return_inverse=True)
    seen = np.stack([different >> 16, different >> 8 & 255, different & 255], -1).astype(np.float32)
    share = (seen.max(-1) - outside.max()) / max(one.max() - outside.max(), 1)
    mixture = outside + (one - outside) * share[..., None]
    wrong = np.abs(seen - mixture).max(-1) > (_NOISE if lossy else _MIXED)
    if not lossy:
        return bool(wrong.any())
    other = np.zeros(bright.shape, np.uint8)
    other[bright] = wrong[where]
    return bool(cv2.erode(other, _NEIGHBOURS).any())


def _packed(colours: _Values) -> NDArray[np.uint32]:
    """Colours (N, 3) of 8 bits as one number each."""
    red, green, blue = colours.T.astype(np.uint32)
    return np.asarray(red << 16 | green << 8 | blue, np.uint32)


def _some(colours: _Values) -> _Values:
    """At most a million of the rows (N, 3), spread over all."""
    return colours[:: len(colours) // 1_000_000 + 1]


def _most_frequent(colours: _Values) -> _Values:
    """The row of (N, 3) that occurs most often."""
    _, first, counts = np.unique(_packed(colours), return_index=True, return_counts=True)
    return np.asarray(colours[first[counts.argmax()]])


def _is_black_and_white(seen: _Values) -> bool:
    """Whether the opaque pixels (N, 3) are black and white."""
    black, white = seen.max(-1) <= _NOISE, seen.min(-1) >= 255 - _NOISE
    return bool(black.any() and white.any() and (black | white).mean() > 0.95)
