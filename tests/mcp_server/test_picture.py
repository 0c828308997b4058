# SPDX-License-Identifier: Apache-2.0
"""Overlay pictures as PNG, within bounds."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Picture
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.mcp_server.picture import MOST_BYTES, png_of
from gar_ros.messages.images import image_message


def test_a_small_picture_keeps_its_pixels() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    picture = Picture.open(BytesIO(png_of(image_message(pixels, "rgb8", Header()), 64)))
    assert (np.asarray(picture) == pixels).all()


def test_a_large_picture_is_made_smaller() -> None:
    message = image_message(np.zeros((300, 400, 3), np.uint8), "rgb8", Header())
    assert Picture.open(BytesIO(png_of(message, 100))).size == (100, 75)


def test_a_picture_that_compresses_badly_is_made_smaller_still() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8)
    png = png_of(image_message(noise, "rgb8", Header()), 2048)
    assert len(png) <= MOST_BYTES
    assert 300 < max(Picture.open(BytesIO(png)).size) < 1200


def test_another_encoding_is_refused() -> None:
    with pytest.raises(GarError, match="expected an rgb8 picture, got 'mono8'") as raised:
        png_of(image_message(np.zeros((2, 2), np.uint8), "mono8", Header()), 64)
    assert raised.value.code is ErrorCode.INVALID_REQUEST
