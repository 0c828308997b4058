# SPDX-License-Identifier: Apache-2.0
"""Depth images as image_transport's plugin compressedDepth sends them."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from gar_ros.messages.arrays import as_bytes

QUANTISATION = (100.0, 10.0)
"""Parameters depth_quantization and depth_max of the plugin, by default."""


def parameters(nearest: float, farthest: float) -> tuple[float, float]:
    """The two numbers in the header of a 32FC1 image."""
    factor = nearest * (nearest + 1)
    return factor, 1 - factor / farthest


def compressed_depth(depth: NDArray[Any], codec: str = "png", text: str | None = None) -> CompressedImage:
    """depth: (H, W), uint16 in millimetres or float32 in metres. text: the message's format, None for the usual one."""
    factor, offset = parameters(*QUANTISATION) if depth.dtype == np.float32 else (0.0, 0.0)
    encoding, values = "16UC1", depth
    if depth.dtype == np.float32:
        encoding = "32FC1"
        values = np.where(depth < QUANTISATION[1], factor / np.where(depth > 0, depth, 1) + offset, 0).astype(np.uint16)
    coded = rvl(values) if codec == "rvl" else cv2.imencode(".png", values)[1].tobytes()
    data = struct.pack("<iff", 0, factor, offset) + coded
    usual = f"{encoding}; compressedDepth {codec}"
    return CompressedImage(format=usual if text is None else text, data=as_bytes(np.frombuffer(data, np.uint8)))


def rvl(values: NDArray[Any]) -> bytes:
    """Size and code of (H, W) uint16, one number after the other."""
    height, width = values.shape
    left = [int(value) for value in values.ravel()]
    numbers, before = list[int](), 0
    while left:
        zeros = next((index for index, value in enumerate(left) if value), len(left))
        others = next((index for index, value in enumerate(left[zeros:]) if not value), len(left) - zeros)
        numbers += [zeros, others]
        for value in left[zeros : zeros + others]:
            difference, before = value - before, value
            numbers.append(2 * difference if difference >= 0 else -2 * difference - 1)
        left = left[zeros + others :]
    digits = [digit for number in numbers for digit in octal(number)]
    digits += [0] * (-len(digits) % 8)
    words = [
        int("".join(f"{digit:x}" for digit in digits[start : start + 8]), 16) for start in range(0, len(digits), 8)
    ]
    return struct.pack(f"<II{len(words)}I", width, height, *words)


def octal(number: int) -> list[int]:
    """The digits, lowest first; 8 is added to each that others follow."""
    digits = [number & 7]
    while number := number >> 3:
        digits[-1] |= 8
        digits.append(number & 7)
    return digits
