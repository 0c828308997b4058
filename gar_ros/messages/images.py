# SPDX-License-Identifier: Apache-2.0
"""Camera images: messages to frames, whose pixels are converted when they are first needed, and back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gar_ros.frame import Frame
from gar_ros.messages import colour
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.compressed import checked_picture, picture_rgb
from gar_ros.messages.encodings import check_colour
from gar_ros.messages.headers import stamp_ns

Size = tuple[int, int]
"""(width, height) in pixels."""


def frame_of(message: Image | CompressedImage) -> Frame:
    """The value of a camera image, without regions. Raises GarError INVALID_REQUEST for a message that is none.

    Its pixels are converted when somebody first asks for them, once for the frame and all its copies.
    """
    load: Callable[[], NDArray[np.uint8]]
    if isinstance(message, CompressedImage):
        picture = checked_picture(message)
        size, load = picture.size, partial(picture_rgb, message, picture)
    else:
        check_colour(message)
        size, load = (int(message.width), int(message.height)), partial(colour.rgb, message)
    return Frame(stamp_ns(message.header.stamp), message.header.frame_id, size, _LoadedOnce(load))


class _LoadedOnce:
    """Pixels that are loaded by the first caller and shared by all; then the message is let go. Thread-safe."""

    def __init__(self, load: Callable[[], NDArray[np.uint8]]) -> None:
        self._source: Callable[[], NDArray[np.uint8]] | NDArray[np.uint8] = load
        self._lock = threading.Lock()

    def __call__(self) -> NDArray[np.uint8]:
        with self._lock:
            if callable(self._source):
                self._source = self._source()
            return self._source


def image_rgb(message: Image) -> NDArray[np.uint8]:
    """Camera image as (H, W, 3) uint8 RGB. Raises GarError INVALID_REQUEST."""
    check_colour(message)
    return colour.rgb(message)


def image_message(pixels: NDArray[np.generic], encoding: str, header: Header) -> Image:
    """pixels: (H, W) or (H, W, C) of the encoding's type."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height
    message.data = as_bytes(pixels)
    return message
