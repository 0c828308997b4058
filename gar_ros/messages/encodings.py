# SPDX-License-Identifier: Apache-2.0
"""How pixels lie in an image message, for every encoding that is read (sensor_msgs/image_encodings.hpp)."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gar_ros.errors import ErrorCode, GarError

ALREADY_RGB = -1
MAX_PIXELS = 100_000_000
"""Of an image: 300 MB as RGB. What claims more is damaged, or would take the robot's memory."""


class Encoding(NamedTuple):
    """type: of a value, in NumPy's words. channels: values of a pixel. to_rgb: OpenCV's conversion of it, or
    ALREADY_RGB; None for what is no colour. subsampled: the picture's rows are followed by half as many of colour."""

    type: str
    channels: int
    to_rgb: int | None = None
    subsampled: bool = False

    def data_rows(self, height: int) -> int:
        """Rows of data of a picture of `height` rows."""
        return height * 3 // 2 if self.subsampled else height

    def row_bytes(self, width: int) -> int:
        """Bytes of a row without padding."""
        return width * self.channels * np.dtype(self.type).itemsize


_BAYER_TO_RGB = {  # OpenCV names a Bayer pattern after its second row
    "rggb": cv2.COLOR_BayerBG2RGB, "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB, "grbg": cv2.COLOR_BayerGB2RGB,
}  # fmt: skip
COLOURS = {
    "rgb8": Encoding("u1", 3, ALREADY_RGB),
    "bgr8": Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
    "rgb16": Encoding("u2", 3, ALREADY_RGB),
    "bgr16": Encoding("u2", 3, cv2.COLOR_BGR2RGB),
    "rgba16": Encoding("u2", 4, cv2.COLOR_RGBA2RGB),
    "bgra16": Encoding("u2", 4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "mono16": Encoding("u2", 1, cv2.COLOR_GRAY2RGB),
    **{f"bayer_{pattern}8": Encoding("u1", 1, code) for pattern, code in _BAYER_TO_RGB.items()},
    **{f"bayer_{pattern}16": Encoding("u2", 1, code) for pattern, code in _BAYER_TO_RGB.items()},
    "uyvy": Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuv422_yuy2": Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUYV),
    "nv12": Encoding("u1", 1, cv2.COLOR_YUV2RGB_NV12, subsampled=True),
    "nv21": Encoding("u1", 1, cv2.COLOR_YUV2RGB_NV21, subsampled=True),
}
"""Of camera images."""
ENCODINGS = {
    **COLOURS,
    "8UC1": Encoding("u1", 1),
    "16UC1": Encoding("u2", 1),
    "32SC1": Encoding("i4", 1),
    "32UC1": Encoding("u4", 1),
    "32FC1": Encoding("f4", 1),
}
"""Of all images."""
LABEL_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1", "32SC1", "32UC1")


def image_array(message: Image) -> NDArray[Any]:
    """Pixels as they are, (H, W) or (H, W, C), a view of the message where its rows have no padding.

    Raises GarError INVALID_REQUEST when encoding, size, step and data don't fit together.
    """
    check_layout(message)
    return checked_array(message)


def checked_array(message: Image) -> NDArray[Any]:
    """As `image_array`, of a message that `check_layout` accepted; NV12 and NV21 as (H * 3 / 2, W)."""
    encoding = ENCODINGS[message.encoding]
    dtype = np.dtype(encoding.type).newbyteorder(">" if message.is_bigendian else "<")
    width, height = message.width, encoding.data_rows(message.height)
    rows = np.frombuffer(message.data, np.uint8, message.step * height).reshape(height, message.step)
    pixels = np.ascontiguousarray(rows[:, : encoding.row_bytes(width)]).view(dtype)
    pixels = pixels.astype(dtype.newbyteorder("="), copy=False)
    return pixels if encoding.channels == 1 else pixels.reshape(height, width, encoding.channels)


def check_colour(message: Image) -> None:
    """Raises GarError INVALID_REQUEST for a message that is no camera image; looks at no pixel."""
    if message.encoding not in COLOURS:
        raise bad_image(f"expected one of the encodings {', '.join(COLOURS)}, got {quoted(message.encoding)}")
    check_layout(message)


def check_layout(message: Image) -> None:
    """Raises GarError INVALID_REQUEST for an image that can't be read; looks at no pixel."""
    if message.encoding not in ENCODINGS:
        raise bad_image(f"expected one of the encodings {', '.join(ENCODINGS)}, got {quoted(message.encoding)}")
    encoding, size = ENCODINGS[message.encoding], f"{message.width}x{message.height}"
    if message.width == 0 or message.height == 0:
        raise bad_image(f"expected at least one pixel, got {size}")
    check_pixels(message.width, message.height)
    if encoding.subsampled and (message.width % 2 or message.height % 2):
        raise bad_image(f"expected an even width and height for {message.encoding}, got {size}")
    if encoding.channels == 2 and message.width % 2:  # a pair of pixels shares its colour
        raise bad_image(f"expected an even width for {message.encoding}, got {size}")
    row_bytes, rows = encoding.row_bytes(message.width), encoding.data_rows(message.height)
    if message.step < row_bytes:
        raise bad_image(
            f"expected a step of {row_bytes} bytes or more ({message.width} px {message.encoding}), got {message.step}"
        )
    if len(message.data) < message.step * rows:
        raise bad_image(f"expected {message.step} x {rows} bytes of data, got {len(message.data)}")


def check_pixels(width: int, height: int) -> None:
    """Raises GarError INVALID_REQUEST for more pixels than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise bad_image(f"expected at most {MAX_PIXELS:,} pixels, got {width}x{height}")


def quoted(text: str) -> str:
    """A text of a message within quotes, as one short line."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return "'" + "".join(letter if letter.isprintable() else "?" for letter in shown) + "'"


def bad_image(what: str) -> GarError:
    """The error for an image that can't be used."""
    return GarError(ErrorCode.INVALID_REQUEST, f"image: {what}")
