# SPDX-License-Identifier: Apache-2.0
"""Image messages of all layouts, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gar_ros.messages.encodings import ENCODINGS


def message(
    encoding: str, rows: NDArray[np.generic], padding: int = 0, bigendian: bool = False, height: int = 0
) -> Image:
    """Image of pixel rows (H, W) or (H, W, C), each followed by `padding` bytes of 0xEE. height: of the picture, where
    it has fewer rows than its data."""
    flat = rows.reshape(rows.shape[0], -1)
    raw = flat.astype(flat.dtype.newbyteorder(">" if bigendian else "<")).view(np.uint8)
    padded = np.pad(raw, ((0, 0), (0, padding)), constant_values=0xEE)
    return Image(
        height=height or rows.shape[0],
        width=rows.shape[1],
        encoding=encoding,
        step=padded.shape[1],
        is_bigendian=int(bigendian),
        data=padded.tobytes(),
    )


def any_picture(encoding: str, padding: int = 0, bigendian: bool = False, size: tuple[int, int] = (12, 10)) -> Image:
    """A picture of random values. size: (width, height)."""
    layout, (width, height) = ENCODINGS[encoding], size
    limit = np.iinfo(layout.type).max
    shape = (layout.data_rows(height), width, layout.channels)
    values = np.random.default_rng(3).integers(0, limit, shape, layout.type, endpoint=True)
    return message(encoding, values, padding, bigendian, height)
