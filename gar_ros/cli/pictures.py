"""Pictures and masks from files, converted as the released code does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gar_ros.errors import ErrorCode, GarError

_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def load_image(path: Path) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8, upright by its EXIF orientation, alpha dropped, 16-bit grey scaled to 8.

    Raises GarError INVALID_REQUEST.
    """
    picture = _load(path)
    if picture.mode in _DEEP_MODES:
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    return np.array(picture.convert("RGB"))


def load_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool: where the picture, as grey, is not black. Raises GarError INVALID_REQUEST."""
    picture = _load(path)
    grey = np.asarray(picture if picture.mode in _DEEP_MODES else picture.convert("L"))
    return np.not_equal(grey, 0)


def _load(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}' can't be read as a picture: {error}") from error
