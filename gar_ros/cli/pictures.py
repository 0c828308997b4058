# SPDX-License-Identifier: Apache-2.0
"""Pictures and masks from files, converted as the released code does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gar_ros.errors import ErrorCode, GarError

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N")  # 16-bit grey
_OPEN_MODES = ("I", "F")  # 32 bits without a known white


def load_image(path: Path) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8 of the first image in the file, upright by its EXIF orientation, alpha dropped, 16-bit grey
    scaled to 8.

    Raises GarError INVALID_REQUEST.
    """
    picture, kind = _load(path)
    if picture.mode in _DEEP_MODES or (picture.mode, kind) == ("I", "PNG"):  # older Pillows' mode of 16-bit PNGs
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    elif picture.mode in _OPEN_MODES:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"'{path}': expected 8 or 16 bits a channel, got 32-bit numbers, whose white is unknown",
        )
    return np.array(picture.convert("RGB"))


def load_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool: where the picture, as grey, is not black. Raises GarError INVALID_REQUEST."""
    picture, _ = _load(path)
    grey = np.asarray(picture if picture.mode in _DEEP_MODES + _OPEN_MODES else picture.convert("L"))
    return np.not_equal(grey, 0)


def _load(path: Path) -> tuple[Image.Image, str | None]:
    """The picture and the name of its file format."""
    try:
        with warnings.catch_warnings():
            # A large photograph is no attack; Pillow refuses what is more than twice as large as what it warns of.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                return ImageOps.exif_transpose(file), file.format
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}' can't be read as a picture: {error}") from error
