# SPDX-License-Identifier: Apache-2.0
"""Image messages become frames, once, and back."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages import colour
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import frame_of, image_message


def test_an_image_message_holds_its_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    message = image_message(pixels[:, ::2], "mono16", Header(frame_id="camera"))
    assert (message.width, message.height, message.step, message.header.frame_id) == (3, 4, 6, "camera")
    assert np.frombuffer(message.data, np.uint16).reshape(4, 3).tolist() == pixels[:, ::2].tolist()


def gradient() -> NDArray[np.uint8]:
    """(6, 8, 3): smooth, so that JPEG keeps it."""
    return np.stack(np.broadcast_arrays(np.arange(8) * 30, np.arange(6)[:, None] * 40, 90), -1).astype(np.uint8)


def compressed(suffix: str) -> CompressedImage:
    file = io.BytesIO()
    PIL.Image.fromarray(gradient()).save(file, suffix)
    data = as_bytes(np.frombuffer(file.getvalue(), np.uint8))
    return CompressedImage(header=header_message("lens", 17), format=suffix, data=data)


@pytest.mark.parametrize(
    ("message", "most"),
    [
        (image_message(gradient(), "rgb8", header_message("lens", 17)), 0),
        (compressed("png"), 0),
        (compressed("jpeg"), 40),
    ],
    ids=["raw", "png", "jpeg"],
)
def test_a_camera_image_becomes_a_frame(message: Image | CompressedImage, most: int) -> None:
    frame = frame_of(message)
    assert (frame.stamp_ns, frame.frame_id, frame.size, frame.regions) == (17, "lens", (8, 6), None)
    assert np.abs(frame.image.astype(int) - gradient()).max() <= most


def test_rgb_pixels_are_those_of_the_message_and_copied_by_nobody() -> None:
    message = image_message(gradient(), "rgb8", header_message("lens", 17))
    frame = frame_of(message)
    with_regions = replace(frame)
    assert np.shares_memory(frame.image, np.frombuffer(message.data, np.uint8))
    assert with_regions.image is frame.image


def test_bgr_pixels_are_converted_once_and_not_before_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    convert = colour.rgb

    def counted(message: Image) -> Any:
        calls.append(1)
        return convert(message)

    monkeypatch.setattr(colour, "rgb", counted)
    frame = frame_of(image_message(gradient()[..., ::-1], "bgr8", header_message("lens", 17)))
    with_regions = replace(frame)
    assert calls == []
    assert with_regions.image is frame.image
    assert calls == [1]
    np.testing.assert_array_equal(frame.image, gradient())


def test_a_jpeg_is_decoded_once_and_not_before_its_pixels_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decode = cv2.imdecode

    def counted(*args: Any) -> Any:
        calls.append(1)
        return decode(*args)

    monkeypatch.setattr(cv2, "imdecode", counted)
    frame = frame_of(compressed("jpeg"))
    with_regions = replace(frame)
    assert calls == []
    assert with_regions.image is frame.image
    assert replace(with_regions).image is frame.image
    assert calls == [1]


def test_what_is_no_picture_is_refused_at_once() -> None:
    cut = compressed("png")
    cut.data = cut.data[8:]
    for message in (cut, image_message(np.zeros((2, 2), np.float32), "32FC1", header_message("lens", 17))):
        with pytest.raises(GarError, match="image: expected"):
            frame_of(message)
