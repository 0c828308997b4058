# SPDX-License-Identifier: Apache-2.0
"""Pictures as files and compressed messages, for tests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from gar_ros.messages.arrays import as_bytes

RED, BLUE = (210, 30, 30), (30, 60, 200)


def scene() -> NDArray[np.uint8]:
    """(24, 32, 3) RGB: red on the left, blue on the right."""
    pixels = np.full((24, 32, 3), BLUE, np.uint8)
    pixels[:, :16] = RED
    return pixels


def bayer(pattern: str) -> NDArray[np.uint8]:
    """(24, 32): the scene as a sensor with this pattern sees it."""
    return mosaic_of(scene(), pattern)


def mosaic_of(pixels: NDArray[np.uint8], pattern: str) -> NDArray[np.uint8]:
    """One value a pixel (H, W) of colours (H, W, 3): red, green or blue by the pattern's letters."""
    mosaic = np.empty(pixels.shape[:2], np.uint8)
    for number, letter in enumerate(pattern):
        row, column = divmod(number, 2)
        mosaic[row::2, column::2] = pixels[row::2, column::2, "rgb".index(letter)]
    return mosaic


def file_of(picture: PIL.Image.Image | NDArray[Any], suffix: str, **options: Any) -> bytes:
    """The picture as a PNG or JPEG; options: Pillow's."""
    file = io.BytesIO()
    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)
    image.save(file, suffix, **({"quality": 95} if suffix == "JPEG" else {}) | options)
    return file.getvalue()


def turned(orientation: int) -> PIL.Image.Exif:
    """Metadata that ask viewers to turn or mirror a picture: EXIF orientation 1 to 8."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return exif


def message(data: bytes, format: str) -> CompressedImage:
    return CompressedImage(format=format, data=as_bytes(np.frombuffer(data, np.uint8)))


def png(width: int, height: int, bits: int, kind: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these words, whether or not they fit. pixels: rows of filter byte and data. chunks: before them."""
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
