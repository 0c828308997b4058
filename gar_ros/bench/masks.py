# SPDX-License-Identifier: Apache-2.0
"""COCO segmentations to masks, by pycocotools, which only these off-robot commands need."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.files import Place
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import shortened


class _Rle(msgspec.Struct):
    """COCO's run-length encoding. size: (height, width)."""

    size: tuple[int, int]
    counts: str | list[int]


_LONGEST_NUMBER = 35  # bits, more than of any run length in an image

_RLE = Annotated[_Rle, msgspec.Meta(description="an RLE with 'size' and 'counts'")]
_Polygon = Annotated[
    list[float], msgspec.Meta(min_length=6, description="a polygon of three or more points [x0, y0, x1, y1, ..]")
]
_Polygons = Annotated[list[_Polygon], msgspec.Meta(min_length=1, description="an RLE or at least one polygon")]


def check_rle(rle: Any, size: tuple[int, int], place: Place) -> None:
    """Refuses what is no run-length encoding of an image of this size (width, height).

    Compressed (`counts` a text) or not (`counts` a list). pycocotools gives whatever was in the memory for pixels that
    the run lengths leave out.
    """
    read = place.read(rle, _RLE)
    width, height = size
    if read.size != (height, width):
        raise place.error(f"expected 'size' [{height}, {width}], the image's, got {shortened(read.size)}")
    counts = run_lengths(read.counts) if isinstance(read.counts, str) else read.counts
    if not counts or min(counts) < 0 or sum(counts) != width * height:
        raise place.error(
            f"expected 'counts' of {width * height} pixels, the image's, got {shortened(read.counts)}, "
            f"which has {shortened(sum(counts))}"
        )


def run_lengths(counts: str) -> list[int]:
    """The run lengths of COCO's compressed counts; of other texts, numbers that don't fill an image.

    A number is written five bits a character, lowest first, as chr(48 + bits), + 32 when another follows, in two's
    complement; from the fourth on, it is the difference to the number two places before (rleToString in cocoapi).
    """
    numbers: list[int] = []
    number = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > _LONGEST_NUMBER:
            return []
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        numbers.append(number + (numbers[-2] if len(numbers) > 2 else 0))
        number = shift = 0
    return [] if shift else numbers


def check_segmentation(segmentation: Any, size: tuple[int, int], place: Place) -> None:
    """Refuses what is neither an RLE of this size nor a list of polygons [x0, y0, x1, y1, ..] in pixels.

    Polygons may leave the image, but not by more than its size: pycocotools walks along each edge pixel by pixel.
    """
    if not isinstance(segmentation, list):
        check_rle(segmentation, size, place)
        return
    for polygon in place.read(segmentation, _Polygons):
        if len(polygon) % 2:
            raise place.error(f"expected two numbers for each point of a polygon, got {shortened(polygon)}")
        for values, side in zip((polygon[::2], polygon[1::2]), size, strict=True):
            if not all(-side <= value <= 2 * side for value in values):  # false for NaN
                raise place.error(
                    f"expected points in or near the image of {size[0]}x{size[1]} px, got {shortened(polygon)}"
                )


def decode(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask (H, W) bool of a checked segmentation of an image of this size (width, height)."""
    coco = _pycocotools()
    width, height = size
    if isinstance(segmentation, list):
        rle = coco.merge(coco.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = coco.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    mask: NDArray[np.bool_] = coco.decode(rle).astype(bool)
    return mask


def require_pycocotools() -> None:
    """Raises GarError INVALID_REQUEST where it is not installed."""
    _pycocotools()


def _pycocotools() -> Any:
    try:
        return importlib.import_module("pycocotools.mask")
    except ModuleNotFoundError as error:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"COCO masks need the package pycocotools (`pip install pycocotools`): {error}",
        ) from error
