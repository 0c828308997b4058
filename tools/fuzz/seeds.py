# SPDX-License-Identifier: Apache-2.0
"""Small inputs of each kind from which fuzzing starts."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

_MANIFEST = Path(__file__).parents[2] / "models/gar-tiny/manifest.json"


def any_bytes() -> list[bytes]:
    """Bytes for doors that read values out of them."""
    random = np.random.default_rng(0)
    return [bytes(64), bytes(range(256)), *(random.bytes(200) for _ in range(30))]


def images() -> list[bytes]:
    """One right image of each encoding, by its number."""
    return [bytes([0, number, 8, 6, 0, 0, 0, *range(64), 0]) for number in range(32)]


def clouds() -> list[bytes]:
    """Clouds of 4 x 3 points with the fields x, y, z, and bytes for others."""
    fields = [value for number in range(3) for value in (0, number, 4 * number, 7, 1)]
    return [
        bytes([3, *fields, 4, 3, step, 0, padding, bigendian, *range(64), 0])
        for step, padding, bigendian in ((12, 0, 0), (16, 1, 0), (12, 0, 1))
    ] + any_bytes()


def cameras() -> list[bytes]:
    """A camera of 9 x 7 px without distortion, and bytes for others."""
    return [bytes([9, 7, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]), *any_bytes()]


def segmentations() -> list[bytes]:
    """A rectangle in 6 x 4 px as a text, as numbers and as a polygon, and bytes for others."""
    corners = (2, 1, 5, 1, 5, 3, 2, 3)
    polygon = b"".join(b"\1" + struct.pack(">i", 8 * value) for value in corners)
    return [
        bytes([3, 5, 1]) + b"9220003",
        bytes([3, 5, 0, 1, 7, 9, 2, 2, 2, 2, 2, 5]),
        bytes([3, 5, 0, 0, 1, len(corners)]) + polygon,
        *any_bytes(),
    ]


def pictures() -> list[bytes]:
    """One small file of each kind that pictures come in."""
    values = np.zeros((9, 12, 3), np.uint8)
    values[2:6, 3:8] = (210, 30, 30)
    picture = PIL.Image.fromarray(values)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, PIL.Image.Image, dict[str, Any]]] = [
        ("JPEG", picture, {}),
        ("JPEG", picture, {"progressive": True, "exif": exif}),
        ("JPEG", picture.convert("L"), {}),
        ("JPEG", picture.convert("CMYK"), {}),
        ("PNG", picture, {"exif": exif}),
        ("PNG", picture.convert("RGBA"), {}),
        ("PNG", picture.convert("L"), {}),
        ("PNG", picture.convert("1"), {}),
        ("PNG", picture.quantize(2), {"transparency": 0}),
        ("PNG", PIL.Image.fromarray(values[..., 0].astype(np.uint16) * 257), {}),
        ("GIF", picture, {}),
        ("BMP", picture, {}),
        ("TIFF", picture, {"exif": exif}),
        ("WEBP", picture, {}),
        ("PPM", picture, {}),
    ]
    return [_file(kind, image, options) for kind, image, options in kinds]


def _file(kind: str, picture: PIL.Image.Image, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def compressed() -> list[bytes]:
    """The pictures behind bytes that choose a format."""
    return [bytes([0, number % 9]) + data for number, data in enumerate(pictures())]


def depths() -> list[bytes]:
    """Compressed depth images behind bytes that choose them and a format, and bytes for raw ones."""
    values = np.arange(48, dtype=np.uint16).reshape(6, 8)
    png = struct.pack("<iff", 0, 1.0, 1.0) + _file("PNG", PIL.Image.fromarray(values), {})
    rvl = struct.pack("<iffII", 0, 1.0, 1.0, 4, 1) + bytes.fromhex("00004230")[::-1]
    return [bytes([0, 0, 0]) + png, bytes([0, 0, 1]) + png, bytes([0, 0, 2]) + rvl, *any_bytes()]


def manifests() -> list[bytes]:
    """The manifest of the model that comes with the package."""
    return [_MANIFEST.read_bytes(), b'{"format": "gar_ros-model", "format_version": 1}', b"[]"]
