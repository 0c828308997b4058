# SPDX-License-Identifier: Apache-2.0
"""Depth images as image_transport's plugin compressedDepth sends them: as PNG, or as run lengths and differences (RVL).

RVL: A. D. Wilson, Fast Lossless Depth Image Compression, SIGCHI 2017.
"""

from __future__ import annotations

import math
import struct

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from gar_ros.geometry.camera import Size
from gar_ros.messages.depth_units import METRES, bad_depth, check_encoding, metres_of
from gar_ros.messages.picture_head import BadPictureError, picture_head

_HEADER = struct.Struct("<iff")
"""Before the picture: the number of the format, and two parameters of 32FC1's coding."""
_RVL_SIZE = struct.Struct("<II")
_PNG_START = struct.Struct(">8sI4sII")
"""Signature, length and name of the first chunk, width, height."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PIXELS = 2**24
_MOST_DIGITS = 11  # octal digits of 32 bits


def check_compressed_depth(message: CompressedImage) -> Size:
    """(width, height) in pixels, from the first bytes. Raises GarError INVALID_REQUEST for what is no depth image."""
    encoding, codec = _format(message.format)
    start = bytes(message.data[: _HEADER.size + _PNG_START.size])
    picture = start[_HEADER.size :]
    if codec == "rvl" and len(picture) >= _RVL_SIZE.size:
        width, height = _RVL_SIZE.unpack_from(picture)
    elif codec == "png" and len(picture) == _PNG_START.size and picture.startswith(_PNG_SIGNATURE):
        width, height = _PNG_START.unpack(picture)[3:]
    else:
        raise bad_depth(f"expected '{message.format}', got {len(message.data)} bytes that are something else")
    if not 0 < width * height <= _MAX_PIXELS:
        raise bad_depth(f"expected 1 to {_MAX_PIXELS} pixels, got {width}x{height}")
    factor, offset = _HEADER.unpack_from(start)[1:]
    if encoding in METRES and not (math.isfinite(offset) and math.isfinite(factor) and factor > 0):
        raise bad_depth(
            f"expected finite parameters of the compression, the first one above 0, got {factor:g} and {offset:g}"
        )
    return width, height


def compressed_metres(message: CompressedImage) -> NDArray[np.float32]:
    """float32 (H, W), metres; NaN, infinite or not above 0 where unknown.

    message: accepted by `check_compressed_depth`. Raises GarError INVALID_REQUEST when it can't be decoded.
    """
    encoding, codec = _format(message.format)
    width, height = check_compressed_depth(message)
    data = bytes(message.data)
    picture = data[_HEADER.size :]
    values = _rvl(picture[_RVL_SIZE.size :], width * height) if codec == "rvl" else _png(picture)
    if values.size != width * height:
        raise bad_depth(f"expected a picture of {width}x{height} px, got {values.size} values")
    values = values.reshape(height, width)
    if encoding not in METRES:
        return metres_of(values)
    factor, offset = _HEADER.unpack_from(data)[1:]
    with np.errstate(all="ignore"):
        metres = np.float32(factor) / (values.astype(np.float32) - np.float32(offset))
    metres[values == 0] = np.nan
    return np.asarray(metres, np.float32)


def _format(text: str) -> tuple[str, str]:
    """Encoding and codec of "16UC1; compressedDepth png"; older plugins, which knew nothing else, left png out."""
    encoding, _, rest = (part.strip() for part in text.partition(";"))
    check_encoding(encoding)
    codec = {"": "png", "compresseddepth": "png", "compresseddepth png": "png", "compresseddepth rvl": "rvl"}
    if rest.lower() not in codec:
        raise bad_depth(f"expected format '{encoding}; compressedDepth png' or '.. rvl', got '{text}'")
    return encoding, codec[rest.lower()]


def _png(picture: bytes) -> NDArray[np.uint16]:
    try:
        picture_head(picture)
    except BadPictureError as error:
        raise bad_depth(f"the PNG of {len(picture)} bytes can't be decoded: {error}") from error
    try:
        values = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise bad_depth(f"the PNG of {len(picture)} bytes can't be decoded: {error.err}") from error
    if values is None:
        raise bad_depth(f"the PNG of {len(picture)} bytes can't be decoded")
    if values.dtype != np.uint16 or values.ndim != 2:
        raise bad_depth(f"expected a PNG of one channel of 16 bits, got {values.dtype} {values.shape}")
    return np.asarray(values, np.uint16)


def _rvl(coded: bytes, pixels: int) -> NDArray[np.uint16]:
    """The depth (pixels,) of runs: their number of zeros, of other values, and the differences of these."""
    numbers = _numbers(coded)
    lengths: list[int] = []
    positions: list[int] = []
    index = done = 0
    while done < pixels:
        if index + 1 >= len(numbers):
            raise bad_depth(f"the RVL data end after {done} of {pixels} pixels")
        zeros, others = int(numbers[index]), int(numbers[index + 1])
        if done + zeros + others > pixels or index + 2 + others > len(numbers) or not (zeros or others):
            raise bad_depth(f"the RVL data have a run of {zeros} and {others} after {done} of {pixels} pixels")
        lengths.append(others)
        positions += [done + zeros, index + 2]
        done, index = done + zeros + others, index + 2 + others
    targets, sources = positions[::2], positions[1::2]
    counts = np.array(lengths)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    folded = numbers[np.repeat(sources, counts) + within]
    differences = (folded >> 1) ^ -(folded & 1)  # 0, -1, 1, -2, 2, ..
    values = np.zeros(pixels, np.uint16)
    values[np.repeat(targets, counts) + within] = np.cumsum(differences) & 0xFFFF
    return values


def _numbers(coded: bytes) -> NDArray[np.int64]:
    """The numbers: octal digits, the lowest first, in half bytes whose highest bit says that more follow.

    The half bytes are those of little-endian words of 32 bits, from the highest to the lowest.
    """
    words = np.frombuffer(coded, "<u4", len(coded) // 4).astype(">u4").view(np.uint8)
    digits = np.stack([words >> 4, words & 15], 1).reshape(-1).astype(np.int64)
    last = np.flatnonzero(digits < 8)
    if len(last) == 0:
        return np.empty(0, np.int64)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > _MOST_DIGITS:
        raise bad_depth(f"the RVL data have a number of {lengths.max()} octal digits")
    digits = digits[: last[-1] + 1]
    places = np.arange(len(digits)) - np.repeat(first, lengths)
    return np.add.reduceat((digits & 7) << (3 * places), first)
