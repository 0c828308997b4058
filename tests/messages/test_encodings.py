# SPDX-License-Identifier: Apache-2.0
"""Pixels of image messages as they are: row padding, byte order, and messages that lie about themselves."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.encodings import check_colour, image_array
from tests.messages.image_messages import message


@pytest.mark.parametrize(
    ("encoding", "dtype", "values"),
    [
        ("mono8", np.uint8, [0, 255]),
        ("8UC1", np.uint8, [0, 255]),
        ("mono16", np.uint16, [1, 65535]),
        ("16UC1", np.uint16, [1, 65535]),
        ("32SC1", np.int32, [-1, 70000]),
    ],
)
@pytest.mark.parametrize("bigendian", [False, True])
def test_labels_keep_their_values(encoding: str, dtype: type[np.generic], values: list[int], bigendian: bool) -> None:
    rows = np.array([values, values[::-1]], dtype)
    labels = image_array(message(encoding, rows, padding=3, bigendian=bigendian))
    assert labels.tolist() == [values, values[::-1]]


def broken(**changes: object) -> Image:
    image = message("rgb8", np.zeros((2, 3, 3), np.uint8))
    for name, value in changes.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (broken(data=bytes(17)), "expected 9 x 2 bytes of data, got 17"),
        (broken(step=8), "expected a step of 9 bytes or more"),
        (broken(encoding="nv99"), "got 'nv99'"),
        (broken(encoding="32SC1"), "expected one of the encodings rgb8"),
        (broken(width=0), "expected at least one pixel, got 0x2"),
        (broken(height=2**31), "expected at most 100,000,000 pixels, got 3x2147483648"),
        (broken(width=10_000, height=10_000, step=30_000), "expected 30000 x 10000 bytes of data, got 18"),
        (broken(encoding="nv12", step=3), "expected an even width and height for nv12, got 3x2"),
        (broken(encoding="nv21", width=4, step=9), "expected 9 x 3 bytes of data, got 18"),
    ],
)
def test_a_message_that_does_not_fit_together_is_refused(image: Image, complaint: str) -> None:
    with pytest.raises(GarError) as caught:
        check_colour(image)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert complaint in caught.value.message
