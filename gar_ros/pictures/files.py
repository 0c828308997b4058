# SPDX-License-Identifier: Apache-2.0
"""Pictures from files, converted as the released code does, and the masks and boxes that belong to them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import PICTURE_FORMATS
from gar_ros.pictures.masks import DEEP_MODES, OPEN_MODES, UnclearMaskError, inside
from gar_ros.region import Box, Region

UPRIGHT, STORED = "upright", "stored"
"""What masks and boxes belong to: the pixels as viewers show them, or as they are in the file."""

_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""From upright to stored, by EXIF orientation."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file. pixels: (H, W, 3) uint8 RGB, upright. orientation: EXIF's, by which the file's pixels were turned.

    regions_of: UPRIGHT, STORED, or empty for whichever fits.
    """

    path: Path
    pixels: NDArray[np.uint8]
    orientation: int = 1
    regions_of: str = ""

    @property
    def stored_shape(self) -> tuple[int, int]:
        """(height, width) in the file."""
        height, width = self.pixels.shape[:2]
        return (width, height) if self.orientation >= 5 else (height, width)

    def region_of_mask(self, region_id: str, path: Path) -> Region:
        """The region of a mask file. Raises GarError INVALID_REQUEST for what is no mask or may be of both pixels."""
        mask, orientation = _load_mask(path)
        regions_of = self.regions_of
        if not regions_of:
            fits_upright, fits_stored = mask.shape == self.pixels.shape[:2], mask.shape == self.stored_shape
            if self.orientation == 1 or orientation != 1 or not fits_stored:
                regions_of = UPRIGHT
            elif fits_upright:
                raise self._unclear(f"'{path}' fits both")
            else:
                regions_of = STORED
        turned_by = self.orientation if regions_of == STORED else orientation
        return Region.from_mask(region_id, upright_pixels(mask, turned_by))

    def region_of_box(self, region_id: str, box: Box) -> Region:
        """The region of a box. Raises GarError INVALID_REQUEST where it may be of both pixels."""
        height, width = self.pixels.shape[:2]
        if self.orientation == 1 or self.regions_of == UPRIGHT:
            return Region.from_box(region_id, box, (width, height))
        if self.regions_of != STORED:
            raise self._unclear(f"the box {','.join(map(str, box))} may be of both")
        height, width = self.stored_shape
        stored = Region.from_box(region_id, box, (width, height))
        return Region.from_mask(region_id, upright_pixels(stored.mask, self.orientation))

    def _unclear(self, what: str) -> GarError:
        return GarError(
            ErrorCode.INVALID_REQUEST,
            f"'{self.path}' is turned by its EXIF orientation ({self.orientation}), and {what}: say which pixels masks "
            f"and boxes belong to, by --orientation {UPRIGHT} (as viewers show them) or --orientation {STORED} (as in "
            "the file)",
        )


def load_picture(path: Path, regions_of: str = "") -> Picture:
    """The first image in the file, upright by its EXIF orientation, alpha dropped, 16-bit grey scaled to 8.

    Raises GarError INVALID_REQUEST.
    """
    picture, orientation = _load(path)
    if picture.mode in DEEP_MODES or (picture.mode, picture.format) == ("I", "PNG"):  # older Pillows: 16-bit PNGs
        pixels = (np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8)[..., None].repeat(3, -1)
    elif picture.mode in OPEN_MODES:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"'{path}': expected 8 or 16 bits a channel, got 32-bit numbers, whose white is unknown",
        )
    else:
        pixels = np.array(picture.convert("RGB"))
    return Picture(path, upright_pixels(pixels, orientation), orientation, regions_of)


def load_image(path: Path) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8 of a picture, upright. Raises GarError INVALID_REQUEST."""
    return load_picture(path).pixels


def load_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool: what is inside by `masks.inside`, upright. Raises GarError INVALID_REQUEST."""
    return upright_pixels(*_load_mask(path))


def upright_pixels(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W, ..) as viewers show them; orientation: EXIF's, 1 to 8."""
    if orientation >= 5:  # the file's first row is a column
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _load_mask(path: Path) -> tuple[NDArray[np.bool_], int]:
    """A mask as stored in its file, and its EXIF orientation."""
    picture, orientation = _load(path)
    try:
        return inside(picture), orientation
    except UnclearMaskError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}': expected a mask, {error}") from error


def _load(path: Path) -> tuple[Image.Image, int]:
    """The picture as stored, with its pixels, and its EXIF orientation."""
    try:
        with warnings.catch_warnings():
            # A large photograph is no attack, and Pillow refuses what is more than twice as large as what it warns of;
            # nor do damaged metadata matter that it leaves out.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=PICTURE_FORMATS) as file:
                orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
                file.load()
                if orientation not in range(1, 9):
                    orientation = 1
                if orientation in _TURNED_BACK and ExifTags.Base.Orientation not in file.getexif():
                    return file.transpose(_TURNED_BACK[orientation]), orientation  # Pillow turns TIFFs by itself
                return file, orientation
    except Exception as error:  # what a damaged file raises in Pillow's many readers is not documented
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}' can't be read as a picture: {error}") from error
