# SPDX-License-Identifier: Apache-2.0
"""Compressed camera images: what their metadata say is honoured or refused by name, and nothing else gets through."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.images import frame_of
from tests.messages.pictures import BLUE, RED, bayer, chunk, file_of, message, png, scene, turned

SCENE = PIL.Image.fromarray(scene())


def is_scene(image: NDArray[np.uint8]) -> bool:
    """Whether an image is the scene but for what JPEG and demosaicing do to it."""
    middles = image[12, [4, 27]].astype(int)
    return image.shape == (24, 32, 3) and bool(np.abs(middles - (RED, BLUE)).max() <= 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_no_picture_is_turned_by_its_metadata(suffix: str, orientation: int) -> None:
    frame = frame_of(message(file_of(SCENE, suffix, exif=turned(orientation)), suffix.lower()))
    assert frame.size == (32, 24)
    assert is_scene(frame.image)


@pytest.mark.parametrize(
    "data",
    [
        file_of(SCENE.convert("CMYK"), "JPEG"),
        file_of(SCENE, "JPEG", progressive=True),
        file_of(SCENE, "JPEG", keep_rgb=True),
        file_of(SCENE, "JPEG", restart_marker_blocks=1),
        file_of(SCENE, "JPEG") + b"\0" * 100,
        file_of(SCENE.convert("RGBA"), "PNG"),
        file_of(SCENE.quantize(2), "PNG", bits=1),
        file_of(SCENE.quantize(2), "PNG", transparency=0),
        file_of(SCENE, "PNG", transparency=RED),
        cv2.imencode(".png", scene()[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
    ],
    ids=[
        "CMYK",
        "progressive",
        "RGB",
        "restarts",
        "padded",
        "alpha",
        "palette",
        "transparent index",
        "transparent colour",
        "16 bits",
    ],
)
def test_kinds_of_pictures(data: bytes) -> None:
    assert is_scene(frame_of(message(data, "")).image)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("form", ["{0}; png compressed ", "{0}; png compressed {0}", "{0}", "{0}; png"])
def test_a_bayer_mosaic_gives_the_scenes_colours(form: str, pattern: str, bits: int) -> None:
    mosaic = bayer(pattern) if bits == 8 else bayer(pattern).astype(np.uint16) * 257
    data = cv2.imencode(".png", mosaic)[1].tobytes()
    assert is_scene(frame_of(message(data, form.format(f"bayer_{pattern}{bits}"))).image)


def test_a_bayer_mosaic_as_jpeg_gives_the_scenes_colours() -> None:
    data = file_of(bayer("rggb"), "JPEG")
    assert is_scene(frame_of(message(data, "bayer_rggb8; jpeg compressed ")).image)


@pytest.mark.parametrize(
    "format",
    [
        "rgb8; jpeg compressed bgr8",
        "bgra8; jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed bgr8",
        "nv21; jpeg compressed bgr8",
        "mono8; jpeg compressed mono8",
        "rgb8; jpeg compressed",
        "bgr8; jpeg",
        "bgr8",
        "JPEG",
        "jpg",
        "",
    ],
)
def test_a_picture_in_colours_is_read_as_viewers_show_it(format: str) -> None:
    assert is_scene(frame_of(message(file_of(SCENE, "JPEG"), format)).image)


GREY, COLOURS = file_of(SCENE.convert("L"), "PNG"), file_of(SCENE, "JPEG")


@pytest.mark.parametrize(
    ("data", "format", "complaint"),
    [
        (COLOURS, "rgb8; jpeg compressed rgb8", "a format that tells red from blue"),
        (COLOURS, "bgr8; png compressed rgb16", "a format that tells red from blue"),
        (GREY, "bayer_rggb8; jpeg compressed mono8", "the colours of bayer_rggb8 were lost"),
        (GREY, "yuv422_yuy2; jpeg compressed mono8", "the colours of yuv422_yuy2 were lost"),
        (GREY, "bayer_rggb8; jpeg compressed bgr8", "expected a picture in colours"),
        (GREY, "rgb8; png compressed ", "expected a picture in colours"),
        (COLOURS, "bayer_rggb8; jpeg compressed ", "expected a mosaic, which has one channel of 8 or 16 bits"),
        (GREY, "bayer_rggb12; png compressed ", "expected the format of a camera image"),
        (GREY, "bayer_rggb8; png compressed bayer_grbg8", "expected a picture compressed as bgr8, bgr16 or mono8"),
        (GREY, "png; bayer_rggb8", "expected a format such as"),
        (GREY, "rgb8; png compressed bayer_rggb8", "expected a picture"),
        (GREY, "16UC1; png compressed ", "expected the format of a camera image"),
        (GREY, "32FC1; compressedDepth png", "expected the format of a camera image"),
        (GREY, "16UC1; compressedDepth", "expected the format of a camera image"),
        (COLOURS, "8UC3; jpeg compressed bgr8", "expected the format of a camera image"),
        (b"RIFF....WEBP", "webp", "expected a JPEG or PNG, got 'webp'"),
        (b"\0\0\0\1\x67", "h264", "expected a JPEG or PNG, got 'h264'"),
        (b"", "jpeg", "expected a JPEG or PNG, got 'jpeg' of 0 bytes"),
        (COLOURS, "x\n" * 10_000 + "16UC1", "expected the format of a camera image"),
    ],
)
def test_a_format_that_leaves_the_colours_open_is_refused_by_name(data: bytes, format: str, complaint: str) -> None:
    with pytest.raises(GarError) as caught:
        frame_of(message(data, format))
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert complaint in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


def resized(jpeg: bytes, **sides: int) -> bytes:
    """The JPEG with another width or height in its head."""
    at = {"height": jpeg.index(b"\xff\xc0") + 5, "width": jpeg.index(b"\xff\xc0") + 7}
    changed = bytearray(jpeg)
    for side, size in sides.items():
        changed[at[side] : at[side] + 2] = size.to_bytes(2, "big")
    return bytes(changed)


JPEG, PNG = file_of(SCENE, "JPEG"), file_of(SCENE, "PNG")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (resized(JPEG, width=0x8020, height=0x8018), "fewer data than 32800x32792 px"),
        (resized(JPEG, height=0x8018), "fewer data than 32x32792 px"),
        (resized(JPEG, width=0), "the JPEG says that it is 0x24 px"),
        (resized(JPEG, width=11_000, height=11_000) + bytes(10**6), "at most 100,000,000 pixels, got 11000x11000"),
        (JPEG[:-2], "no end marker"),
        (JPEG[:100], "the JPEG is cut off"),
        (JPEG[:2], "no marker at byte 2"),
        (b"\xff\xd8" + b"\xff" * 1000, "cut off in its head"),
        (b"\xff\xd8\xff\xda\0\2\xff\xd9", "does not say its size"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc3", 1), "of a kind that is not read"),
        (png(30_000, 30_000, 8, 2, b""), "the PNG has fewer data than 30000x30000 px"),
        (png(2**31 - 1, 2**31 - 1, 8, 2, b""), "fewer data than"),
        (png(10_001, 10_000, 1, 0, bytes(1251 * 10_000)), "at most 100,000,000 pixels, got 10001x10000"),
        (png(2, 1, 7, 2, b""), "colour type 2 of 7 bits"),
        (png(2, 1, 8, 0, b"\0ab", (b"acTL", bytes(8))), "the PNG is an animation"),
        (PNG[:-1], "the PNG is cut off"),
        (PNG[:-20], "the PNG is cut off"),
        (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], "a checksum at byte"),
        (PNG[:8] + chunk(b"IEND", b""), "does not begin with its size"),
        (PNG[:8] + chunk(b"IHDR", b"12345"), "damaged in its head"),
    ],
)
def test_a_damaged_or_huge_picture_is_refused_before_it_is_decoded(data: bytes, complaint: str) -> None:
    with pytest.raises(GarError) as caught:
        frame_of(message(data, "jpeg"))
    assert complaint in caught.value.message


@pytest.mark.parametrize("data", [png(32, 24, 8, 2, bytes(100)), png(32, 24, 8, 2, b"\x09" * 97 * 24)])
def test_what_turns_out_damaged_when_it_is_decoded_is_refused_then(data: bytes) -> None:
    frame = frame_of(message(data, "png"))
    with pytest.raises(GarError, match=r"image: 'png' of .* can't be decoded"):
        _ = frame.image


@pytest.mark.parametrize("error", [cv2.error("too\nlarge"), MemoryError("too\nlarge")])
def test_what_the_decoder_raises_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    frame = frame_of(message(PNG, "png"))
    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(GarError, match="can't be decoded: too large"):
        _ = frame.image


def test_a_picture_of_another_size_than_its_head_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of(message(PNG, "png"))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((32, 24, 3), np.uint8))
    with pytest.raises(GarError, match=r"expected 32x24 px, as the head of 'png' of .* says, got 24x32 px"):
        _ = frame.image


@given(
    whole=st.sampled_from([JPEG, PNG, GREY, file_of(SCENE, "JPEG", progressive=True)]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=5),
    end=st.integers(0, 2000),
    format=st.sampled_from(["jpeg", "rgb8; png compressed bgr8", "bayer_grbg8; png compressed "]) | st.text(),
)
def test_damaged_bytes_give_pixels_of_the_said_size_or_an_error(
    whole: bytes, changes: list[tuple[int, int]], end: int, format: str
) -> None:
    damaged = bytearray(whole[: end or None])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    with suppress(GarError):
        frame = frame_of(message(bytes(damaged), format))
        assert frame.image.shape == (*frame.size[::-1], 3)


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    grey=st.booleans(),
    quality=st.integers(1, 95),
    optimize=st.booleans(),
    progressive=st.booleans(),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
)
def test_no_black_picture_is_taken_for_a_damaged_one(size: tuple[int, int], grey: bool, **options: Any) -> None:
    """They are the smallest of their size."""
    black = PIL.Image.new("L" if grey else "RGB", size)
    for data in (file_of(black, "JPEG", **options), file_of(black, "PNG"), file_of(black.convert("1"), "PNG")):
        frame = frame_of(message(data, ""))
        assert frame.size == size
        assert frame.image.max() < 20
