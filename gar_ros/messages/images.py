# SPDX-License-Identifier: Apache-2.0
"""Camera images: messages to frames, whose pixels are converted when they are first needed, and back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gar_ros.frame import Frame
from gar_ros.messages import colour
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.encodings import bad_image, check_colour
from gar_ros.messages.headers import stamp_ns

Size = tuple[int, int]
"""(width, height) in pixels."""


def frame_of(message: Image | CompressedImage) -> Frame:
    """The value of a camera image, without regions. Raises GarError INVALID_REQUEST for a message that is none.

    Its pixels are converted when somebody first asks for them, once for the frame and all its copies.
    """
    load: Callable[[], NDArray[np.uint8]]
    if isinstance(message, CompressedImage):
        size, load = compressed_size(message), partial(compressed_rgb, message)
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


def compressed_size(message: CompressedImage) -> Size:
    """(width, height) in pixels of a JPEG or PNG, from its first bytes. Raises GarError INVALID_REQUEST."""
    try:
        with PIL.Image.open(io.BytesIO(bytes(message.data)), formats=("JPEG", "PNG")) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError) as error:
        what = f"expected a JPEG or PNG, got '{message.format}' of {len(message.data)} bytes: {error}"
        raise bad_image(what) from error


def compressed_rgb(message: CompressedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises GarError INVALID_REQUEST."""
    as_sent = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # masks and CameraInfo know of no turned picture
    pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), as_sent)
    if pixels is None:
        raise bad_image(f"'{message.format}' of {len(message.data)} bytes can't be decoded")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def image_message(pixels: NDArray[np.generic], encoding: str, header: Header) -> Image:
    """pixels: (H, W) or (H, W, C) of the encoding's type."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height
    message.data = as_bytes(pixels)
    return message
