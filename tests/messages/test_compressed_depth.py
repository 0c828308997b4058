# SPDX-License-Identifier: Apache-2.0
"""Depth images of the transport compressedDepth: read as the raw ones, else refused by name."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.depth import check_depth, depth_metres
from tests.messages.compressed_depth_messages import compressed_depth

NAN = float("nan")
MILLIMETRES = np.array([[0, 0, 1000, 1001], [65535, 990, 0, 4]], np.uint16)


def with_data(data: bytes, text: str) -> CompressedImage:
    return CompressedImage(format=text, data=as_bytes(np.frombuffer(data, np.uint8)))


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_millimetres_are_those_that_were_sent(codec: str) -> None:
    message = compressed_depth(MILLIMETRES, codec)
    assert check_depth(message) == (4, 2)
    np.testing.assert_allclose(depth_metres(message), [[0, 0, 1, 1.001], [NAN, 0.99, 0, 0.004]], rtol=1e-6)


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_metres_are_as_good_as_their_quantisation(codec: str) -> None:
    metres = np.array([[0.5, 1.0, 4.0], [9.0, NAN, 11.0]], np.float32)
    found = depth_metres(compressed_depth(metres, codec))
    np.testing.assert_allclose(found[0], metres[0], rtol=2e-3)
    assert found[1, 0] == pytest.approx(9.0, rel=2e-2)
    assert np.isnan(found[1, 1:]).all()


@pytest.mark.parametrize("seed", range(5))
def test_rvl_of_any_picture_is_undone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(1, 65535, (13, 17)).astype(np.uint16) * (rng.random((13, 17)) < seed / 4)
    np.testing.assert_allclose(depth_metres(compressed_depth(picture, "rvl")), picture / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["16UC1", "16UC1; compressedDepth", "16UC1; compressedDepth png", "mono16;compresseddepth png "]
)
def test_what_does_not_name_its_codec_is_png(text: str) -> None:
    assert depth_metres(compressed_depth(MILLIMETRES, text=text))[0, 2] == 1


PNG = compressed_depth(MILLIMETRES)
RVL = compressed_depth(MILLIMETRES, "rvl")
COLOURED = cv2.imencode(".png", np.zeros((2, 4, 3), np.uint8))[1].tobytes()
EIGHT_BITS = cv2.imencode(".png", np.zeros((2, 4), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (with_data(bytes(PNG.data), "16UC1; compressedDepth zstd"), "got '16UC1; compressedDepth zstd'"),
        (with_data(bytes(PNG.data), "16UC1; png compressed "), "expected format '16UC1; compressedDepth png' or"),
        (with_data(bytes(PNG.data), "png"), "expected encoding 32FC1, 16UC1, mono16, got 'png'"),
        (with_data(bytes(PNG.data), "8UC1; compressedDepth png"), "got '8UC1'"),
        (with_data(bytes(PNG.data)[12:], PNG.format), "got .* bytes that are something else"),
        (with_data(b"", PNG.format), "got 0 bytes that are something else"),
        (with_data(bytes(12), RVL.format), "got 12 bytes that are something else"),
        (with_data(bytes(12) + struct.pack("<II", 10**5, 10**5), RVL.format), "got 100000x100000"),
        (with_data(bytes(12) + struct.pack("<II", 0, 5), RVL.format), "expected 1 to 16777216 pixels, got 0x5"),
        (with_data(bytes(PNG.data), "32FC1; compressedDepth png"), "the first one above 0, got 0 and 0"),
        (with_data(bytes(PNG.data)[:-30], PNG.format), "can't be decoded|expected a picture"),
        (with_data(bytes(RVL.data)[:-4], RVL.format), "the RVL data end after|a run of"),
        (with_data(bytes(12) + struct.pack("<III", 4, 2, 0xFFFFFFFF), RVL.format), "the RVL data"),
        (
            with_data(bytes(12) + struct.pack("<III", 4, 2, 0x90000000), RVL.format),
            "a run of 0 and 0 after 1 of 8 pixels",
        ),
        (with_data(bytes(12) + COLOURED, PNG.format), "expected a PNG of one channel of 16 bits, got uint8"),
        (
            with_data(bytes(12) + EIGHT_BITS, PNG.format),
            r"expected a PNG of one channel of 16 bits, got uint8 \(2, 4\)",
        ),
    ],
)
def test_what_is_no_such_image_is_refused(message: CompressedImage, reason: str) -> None:
    def read() -> None:
        check_depth(message)
        depth_metres(message)

    with pytest.raises(GarError, match=f"depth: .*({reason})") as raised:
        read()
    assert raised.value.code is ErrorCode.INVALID_REQUEST
