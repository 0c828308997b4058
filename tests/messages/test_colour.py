# SPDX-License-Identifier: Apache-2.0
"""Camera images become RGB, whatever their encoding, and cv_bridge does it only where it is ROS's own and right."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages import colour
from gar_ros.messages.encodings import COLOURS
from gar_ros.messages.images import image_rgb
from gar_ros.messages.ros_libraries import ros_library
from tests.messages.image_messages import any_picture, message


@pytest.fixture(autouse=True)
def _chosen_anew() -> Iterator[None]:
    colour.converter.cache_clear()
    yield
    colour.converter.cache_clear()


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [("rgb8", (1, 2, 3)), ("bgr8", (3, 2, 1)), ("rgba8", (1, 2, 3, 77)), ("bgra8", (3, 2, 1, 77))],
)
def test_colours_arrive_in_rgb_order_whatever_the_encoding(
    encoding: str, pixel: tuple[int, ...], padding: int, bigendian: bool
) -> None:
    rows = np.zeros((2, 3, len(pixel)), np.uint8)
    rows[1, 2] = pixel
    image = image_rgb(message(encoding, rows, padding, bigendian))
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert image[1, 2].tolist() == [1, 2, 3]
    assert image[:1].tolist() == [[[0, 0, 0]] * 3]


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "order"), [("rgb16", "rgb"), ("bgr16", "bgr"), ("rgba16", "rgba"), ("bgra16", "bgra")]
)
def test_sixteen_bits_a_colour_are_scaled_to_eight(encoding: str, order: str, bigendian: bool) -> None:
    values = {"r": 65535, "g": 257, "b": 32768, "a": 77}
    rows = np.array([[[values[letter] for letter in order]]], np.uint16)
    assert image_rgb(message(encoding, rows, padding=2, bigendian=bigendian)).tolist() == [[[255, 1, 128]]]


def test_mono_becomes_grey() -> None:
    assert image_rgb(message("mono8", np.array([[7, 250]], np.uint8))).tolist() == [[[7] * 3, [250] * 3]]


@pytest.mark.parametrize("bigendian", [False, True])
def test_mono16_is_scaled_to_eight_bits(bigendian: bool) -> None:
    rows = np.array([[0, 257, 32768, 65535]], np.uint16)
    image = image_rgb(message("mono16", rows, padding=2, bigendian=bigendian))
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_the_scenes_colour(pattern: str, depth: int) -> None:
    values, scale = {"r": 200, "g": 100, "b": 50}, 257 if depth == 16 else 1
    cell = np.array([values[letter] * scale for letter in pattern], f"u{depth // 8}").reshape(2, 2)
    image = image_rgb(message(f"bayer_{pattern}{depth}", np.tile(cell, (4, 4))))
    assert image[4, 4].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("encoding", "pair"),
    [
        ("uyvy", (128, 90, 128, 200)),
        ("yuv422", (128, 90, 128, 200)),
        ("yuyv", (90, 128, 200, 128)),
        ("yuv422_yuy2", (90, 128, 200, 128)),
    ],
)
def test_yuv_without_colour_is_grey_and_keeps_its_order(encoding: str, pair: tuple[int, ...]) -> None:
    rows = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (2, 2, 1))
    first, second = image_rgb(message(encoding, rows))[0, :2].astype(int)
    assert abs(first - (90 - 16) * 255 / 219).max() < 2
    assert abs(second - (200 - 16) * 255 / 219).max() < 2


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu")])
def test_a_picture_with_half_as_many_rows_of_colour_below(encoding: str, order: str, padding: int) -> None:
    """As drivers send it: width, height and step are those of the picture."""
    red = {"y": 82, "u": 90, "v": 240}  # BT.601
    rows = np.full((6, 8), red["y"], np.uint8)
    rows[4:, 0::2], rows[4:, 1::2] = red[order[0]], red[order[1]]
    image = image_rgb(message(encoding, rows, padding, height=4))
    assert image.shape == (4, 8, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() < 4


def test_yuv_of_odd_width_is_refused() -> None:
    with pytest.raises(GarError, match="even width for uyvy, got 3x2"):
        image_rgb(message("uyvy", np.zeros((2, 3, 2), np.uint8)))


@given(
    encoding=st.sampled_from(sorted(COLOURS)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.integers(0, 9),
    bigendian=st.booleans(),
)
def test_neither_padding_nor_byte_order_changes_a_pixel(
    encoding: str, size: tuple[int, int], padding: int, bigendian: bool
) -> None:
    """Sizes that an encoding can't have are refused, whatever the layout."""
    if COLOURS[encoding].subsampled:
        size = (size[0] * 2, size[1] * 2)
    try:
        plain = image_rgb(any_picture(encoding, size=size))
    except GarError:
        with pytest.raises(GarError):
            image_rgb(any_picture(encoding, padding, bigendian, size))
        return
    assert plain.shape == (size[1], size[0], 3)
    assert image_rgb(any_picture(encoding, padding, bigendian, size)).tolist() == plain.tolist()


# From here on: which library does it.


def install_bridge(
    monkeypatch: pytest.MonkeyPatch, prefix: Path, file: Path, convert: Callable[[Image], NDArray[np.uint8]]
) -> None:
    """A package cv_bridge at `file` that converts by `convert`; ament knows one in `prefix`."""

    class CvBridge:
        def imgmsg_to_cv2(self, image: Image, encoding: str) -> NDArray[np.uint8]:
            assert encoding == "rgb8"
            return convert(image)

    module = ModuleType("cv_bridge")
    module.__file__ = str(file)
    module.CvBridge = CvBridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    marker = prefix / "share/ament_index/resource_index/packages/cv_bridge"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))


INSIDE = "lib/python3/site-packages/cv_bridge/__init__.py"


def test_ros_own_cv_bridge_is_used_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Image] = []

    def convert(image: Image) -> NDArray[np.uint8]:
        asked.append(image)
        return colour.rgb_by_opencv(image)

    install_bridge(monkeypatch, tmp_path, tmp_path / INSIDE, convert)
    with caplog.at_level(logging.INFO, "gar_ros"):
        images = [any_picture("bgr8", padding=5) for _ in range(2)]
        for image in images:
            assert image_rgb(image).tolist() == colour.rgb_by_opencv(image).tolist()
    assert caplog.messages == ["bgr8 images are converted by cv_bridge"]
    assert [image.step for image in asked[1:]] == [36, 36], "rows without padding"


def test_a_cv_bridge_from_elsewhere_is_not_mistaken_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install_bridge(monkeypatch, tmp_path / "ros", tmp_path / "venv/cv_bridge/__init__.py", colour.rgb_by_opencv)
    with caplog.at_level(logging.INFO, "gar_ros"):
        image_rgb(any_picture("bgr8"))
    assert caplog.messages == ["bgr8 images are converted by OpenCV: cv_bridge is not installed"]


def test_a_cv_bridge_that_is_linked_into_a_workspace_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As `colcon build --symlink-install` does it."""
    source, prefix = tmp_path / "src/cv_bridge.py", tmp_path / "install"
    source.parent.mkdir()
    source.touch()
    (prefix / INSIDE).parent.mkdir(parents=True)
    (prefix / INSIDE).symlink_to(source)
    install_bridge(monkeypatch, prefix, prefix / INSIDE, colour.rgb_by_opencv)
    assert ros_library("cv_bridge", "cv_bridge") is sys.modules["cv_bridge"]


def test_without_any_prefix_there_is_no_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert ros_library("cv_bridge", "cv_bridge") is None


def fails(error: Exception) -> Callable[[Image], NDArray[np.uint8]]:
    def convert(image: Image) -> NDArray[np.uint8]:
        raise error

    return convert


@pytest.mark.parametrize(
    ("convert", "reason"),
    [
        (lambda image: colour.rgb_by_opencv(image)[:, :, ::-1], "cv_bridge's pixels are up to"),
        (lambda image: colour.rgb_by_opencv(image)[:, :, 0], "cv_bridge makes uint8 (6, 8) of bgr8"),
        (fails(TypeError("[bgr8] is not a color format")), "is not a color format"),
        (fails(AttributeError("_ARRAY_API not found")), "_ARRAY_API not found"),
    ],
    ids=["other colours", "another shape", "CvBridgeError", "another NumPy"],
)
def test_what_cv_bridge_gets_wrong_is_converted_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, convert: Any, reason: str
) -> None:
    install_bridge(monkeypatch, tmp_path, tmp_path / INSIDE, convert)
    image = any_picture("bgr8")
    with caplog.at_level(logging.INFO, "gar_ros"):
        assert image_rgb(image).tolist() == colour.rgb_by_opencv(image).tolist()
    (said,) = caplog.messages
    assert said.startswith("bgr8 images are converted by OpenCV: ")
    assert reason in said


def test_no_exception_of_cv_bridge_gets_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is right where it was tried and fails later."""

    def convert(image: Image) -> NDArray[np.uint8]:
        if image.width == 12:
            raise cv2.error("bad")
        return colour.rgb_by_opencv(image)

    install_bridge(monkeypatch, tmp_path, tmp_path / INSIDE, convert)
    with pytest.raises(GarError, match="image: cv_bridge can't convert bgr8: bad") as caught:
        image_rgb(any_picture("bgr8"))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


LATER = ("uyvy", "yuyv", "nv12", "nv21")
"""What Jazzy's cv_bridge can't convert, but a later one may."""


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 5, 12])
@pytest.mark.parametrize("encoding", COLOURS)
def test_the_real_cv_bridge_and_opencv_give_the_same_pixels(encoding: str, padding: int, bigendian: bool) -> None:
    library = ros_library("cv_bridge", "cv_bridge")
    if library is None:
        pytest.skip("cv_bridge is not installed: robots have it from apt, PyPI has none for ROS 2")
    image = any_picture(encoding, padding, bigendian)
    assert colour.converter(encoding) is not colour.rgb_by_opencv or encoding in LATER
    np.testing.assert_allclose(image_rgb(image), colour.rgb_by_opencv(image), atol=1)
    with suppress(GarError):  # and nothing else
        colour.rgb_by_cv_bridge(library.CvBridge(), image)
