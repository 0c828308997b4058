# SPDX-License-Identifier: Apache-2.0
"""What a JPEG or PNG says about itself before its pixels are decoded, and whether it is there as a whole.

Read here and not by a picture library, because this is the door for bytes from anywhere: the size is known and bounded
before anything is allocated, and all that can be wrong ends in one error.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_DECODABLE = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # Huffman or arithmetic, sequential or progressive (ITU T.81, B.1)
_JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_JPEG_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_JPEG_SCAN = 0xDA
_JPEG_BITS_PER_BLOCK = {0xC0: 2, 0xC1: 2, 0xC2: 1}  # at least, by Huffman: a code for DC and, if sequential, one for AC
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # by colour type, without alpha; a palette is of colours
_PNG_INFLATION = 1032  # at most, by zlib
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


class BadPictureError(Exception):
    """Says what is wrong with the bytes."""


class PictureHead(NamedTuple):
    """codec: JPEG or PNG. width, height: in pixels, as stored. channels: 1 for grey, 3 for colours, 4 for CMYK, without
    alpha. bits: of a channel."""

    codec: str
    width: int
    height: int
    channels: int
    bits: int


def picture_head(data: bytes) -> PictureHead:
    """The head of a whole JPEG or PNG. Raises BadPictureError."""
    if data.startswith(_JPEG_START):
        head = _jpeg_head(data)
    elif data.startswith(_PNG_START):
        head = _png_head(data)
    else:
        raise BadPictureError("the first bytes are of neither")
    if head.width == 0 or head.height == 0:
        raise BadPictureError(f"the {head.codec} says that it is {head.width}x{head.height} px")
    return head


def _jpeg_head(data: bytes) -> PictureHead:
    head: PictureHead | None = None
    bits_per_block = 0
    at = 2
    while True:
        if data[at : at + 1] != b"\xff":
            raise BadPictureError(f"the JPEG has no marker at byte {at}")
        while data[at : at + 1] == b"\xff":  # a marker may be filled up in front
            at += 1
        if at >= len(data):
            raise BadPictureError("the JPEG is cut off in its head")
        marker, at = data[at], at + 1
        if marker in _JPEG_WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise BadPictureError("the JPEG is cut off or damaged in its head")
        if marker in _JPEG_FRAMES:
            if head is not None:
                raise BadPictureError("the JPEG has two heads")
            head = _jpeg_frame(marker, data[at + 2 : at + length])
            bits_per_block = _JPEG_BITS_PER_BLOCK.get(marker, 0)
        at += length
        if marker == _JPEG_SCAN:
            break
    if head is None:
        raise BadPictureError("the JPEG does not say its size")
    if data.find(_JPEG_END, at) < 0:
        raise BadPictureError("the JPEG is cut off: it has no end marker")
    blocks = (head.width + 7) // 8 * ((head.height + 7) // 8)
    _check_enough("JPEG", head, (len(data) - at) * 8, blocks * bits_per_block)
    return head


def _check_enough(codec: str, head: PictureHead, got: int, least: int) -> None:
    """Raises BadPictureError for a picture with fewer data than the smallest of its size has: its size is damaged."""
    if got < least:
        raise BadPictureError(
            f"the {codec} has fewer data than {head.width}x{head.height} px need, the size that it says it has"
        )


def _jpeg_frame(marker: int, segment: bytes) -> PictureHead:
    if marker not in _JPEG_DECODABLE:
        raise BadPictureError(f"the JPEG is of a kind that is not read (marker {marker:#x})")
    if len(segment) < 6:
        raise BadPictureError("the JPEG is damaged in its head")
    bits, height, width, channels = struct.unpack_from(">BHHB", segment)
    if bits != 8 or channels not in (1, 3, 4):
        raise BadPictureError(f"expected a JPEG of 1, 3 or 4 channels of 8 bits, got {channels} of {bits}")
    return PictureHead("JPEG", width, height, channels, bits)


def _png_head(data: bytes) -> PictureHead:
    head: PictureHead | None = None
    at, packed = len(_PNG_START), 0
    name = b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise BadPictureError("the PNG is cut off")
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            raise BadPictureError("the PNG is cut off or damaged")
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise BadPictureError(f"the PNG is damaged: a checksum at byte {end} is wrong")
        if (head is None) != (name == b"IHDR"):
            raise BadPictureError("the PNG does not begin with its size, or says it twice")
        if name == b"IHDR":
            head = _png_size(data[at + 8 : end])
        elif name == b"acTL":
            raise BadPictureError("the PNG is an animation")
        elif name == b"IDAT":
            packed += length
        at = end + 4
    if head is None:
        raise BadPictureError("the PNG does not say its size")
    _check_enough("PNG", head, packed * _PNG_INFLATION, head.width * head.height * head.bits // 8)
    return head


def _png_size(chunk: bytes) -> PictureHead:
    if len(chunk) != 13:
        raise BadPictureError("the PNG is damaged in its head")
    width, height, bits, kind = struct.unpack_from(">IIBB", chunk)
    if bits not in _PNG_BITS.get(kind, ()):
        raise BadPictureError(f"the PNG says that it has colour type {kind} of {bits} bits")
    return PictureHead("PNG", width, height, _PNG_CHANNELS[kind], bits)
