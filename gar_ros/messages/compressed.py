# SPDX-License-Identifier: Apache-2.0
"""Compressed camera images: what their `format` says, and their pixels.

image_transport writes "<encoding of the camera's image>; <codec> compressed <encoding of the picture>", such as
"rgb8; jpeg compressed bgr8". Others write the codec alone, or anything. A picture is read as any viewer shows it, but
never turned by its EXIF orientation: image_transport and cv_bridge don't turn it, and masks and CameraInfo are of the
pixels as sent.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from gar_ros.messages import colour
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.encodings import COLOURS, bad_image, check_pixels, quoted
from gar_ros.messages.picture_head import BadPictureError, PictureHead, picture_head

_ENCODING = re.compile(r"\d+[usf]c\d*|bayer\w*|nv24|(rgb|bgr)a?\d*|mono\d*")  # beside those of COLOURS
_CAMERA_ENCODINGS = {*COLOURS, "nv24", "rgb", "bgr", "rgba", "bgra", "mono"}
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


class Picture(NamedTuple):
    """A compressed image that can be decoded. mosaic: the Bayer encoding of its pixels, empty for other pictures."""

    head: PictureHead
    mosaic: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.head.width, self.head.height


def checked_picture(message: CompressedImage) -> Picture:
    """What is known before decoding. Raises GarError INVALID_REQUEST for what is no camera image, is cut off or damaged
    in its head, is larger than MAX_PIXELS, or has a format that leaves its colours open; decodes no pixel."""
    source, stored = _encodings_of(message.format)
    try:
        head = picture_head(bytes(message.data))
    except BadPictureError as error:
        what = f"expected a JPEG or PNG, got {quoted(message.format)} of {len(message.data)} bytes: {error}"
        raise bad_image(what) from error
    check_pixels(head.width, head.height)
    if source.startswith("bayer") and stored in ("", source):
        return Picture(head, _mosaic(message.format, source, head))
    _check_colours(message.format, source, stored, head)
    return Picture(head, "")


def picture_rgb(message: CompressedImage, picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises GarError INVALID_REQUEST."""
    flags = _AS_STORED | (cv2.IMREAD_GRAYSCALE if picture.mosaic else cv2.IMREAD_COLOR)
    what = f"{quoted(message.format)} of {len(message.data)} bytes"
    try:
        pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise bad_image(f"{what} can't be decoded: {' '.join(str(error).split())}") from error
    if pixels is None:
        raise bad_image(f"{what} can't be decoded")
    width, height = picture.size
    if pixels.shape[:2] != (height, width):
        raise bad_image(
            f"expected {width}x{height} px, as the head of {what} says, got {pixels.shape[1]}x{pixels.shape[0]} px"
        )
    if picture.mosaic:
        mosaic = Image(height=height, width=width, encoding=picture.mosaic, step=pixels.nbytes // height)
        mosaic.is_bigendian, mosaic.data = sys.byteorder == "big", as_bytes(pixels)
        return colour.rgb(mosaic)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _encodings_of(text: str) -> tuple[str, str]:
    """Encodings of the camera's image and of the picture, empty where the format names none.

    Raises GarError INVALID_REQUEST for a format that no camera image has.
    """
    head, _, tail = text.lower().partition(";")
    sources, stored = _encodings(head), _encodings(tail)
    if "compresseddepth" in text.lower() or not {*sources} <= _CAMERA_ENCODINGS:
        raise bad_image(
            f"expected the format of a camera image, 'jpeg', 'png' or with one of the encodings {', '.join(COLOURS)}, "
            f"got {quoted(text)}"
        )
    if len(sources) > 1 or len(stored) > len(sources):
        raise bad_image(f"expected a format such as 'jpeg' or 'rgb8; jpeg compressed bgr8', got {quoted(text)}")
    return "".join(sources), "".join(stored)


def _encodings(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if word in COLOURS or _ENCODING.fullmatch(word)]


def _mosaic(text: str, source: str, head: PictureHead) -> str:
    """The Bayer encoding of the picture's pixels. Raises GarError INVALID_REQUEST."""
    if head.channels != 1 or head.bits < 8:
        raise bad_image(
            f"expected a mosaic, which has one channel of 8 or 16 bits, for {quoted(text)}, got {head.channels} of "
            f"{head.bits} bits"
        )
    return f"{source.rstrip('168')}{head.bits}"


def _check_colours(text: str, source: str, stored: str, head: PictureHead) -> None:
    """Raises GarError INVALID_REQUEST where the picture's colours are lost, or uncertain by the format."""
    if stored and not stored.startswith(("bgr", "rgb", "mono")):
        raise bad_image(f"expected a picture compressed as bgr8, bgr16 or mono8, got {quoted(text)}")
    has_colours = source != "" and not source.startswith("mono")
    if has_colours and stored.startswith("mono"):
        raise bad_image(
            f"expected a picture in colours, got {quoted(text)}: the colours of {source} were lost when it was "
            "compressed; compress an image in colours, such as image_proc's"
        )
    if has_colours and head.channels == 1 and (stored == "" or source.startswith("bayer")):
        raise bad_image(f"expected a picture in colours, as {quoted(text)} says, got a grey {head.codec}")
    if stored.startswith("rgb") and head.channels > 1:
        # In image_transport's words red and blue are exchanged in the file; others write it for usual files.
        raise bad_image(
            f"expected a format that tells red from blue, got {quoted(text)}, which some write for files with red and "
            "blue exchanged; a file that viewers show in its true colours is 'rgb8; jpeg compressed bgr8' or 'jpeg'"
        )
