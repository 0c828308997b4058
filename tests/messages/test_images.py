"""Pixels of image messages: encodings, row padding, byte order, and messages that lie about themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages import images as compat


def message(encoding: str, rows: NDArray[np.generic], padding: int = 0, bigendian: bool = False) -> Image:
    """Image of pixel rows (H, W) or (H, W, C), each followed by `padding` bytes of 0xEE."""
    flat = rows.reshape(rows.shape[0], -1)
    raw = flat.astype(flat.dtype.newbyteorder(">" if bigendian else "<")).view(np.uint8)
    padded = np.pad(raw, ((0, 0), (0, padding)), constant_values=0xEE)
    height, width = rows.shape[:2]
    step = padded.shape[1]
    return Image(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=int(bigendian), data=padded.tobytes()
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [("rgb8", (1, 2, 3)), ("bgr8", (3, 2, 1)), ("rgba8", (1, 2, 3, 77)), ("bgra8", (3, 2, 1, 77))],
)
def test_colours_arrive_in_rgb_order_whatever_the_encoding(encoding: str, pixel: tuple[int, ...], padding: int) -> None:
    rows = np.zeros((2, 3, len(pixel)), np.uint8)
    rows[1, 2] = pixel
    image = compat.image_rgb(message(encoding, rows, padding))
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert image[1, 2].tolist() == [1, 2, 3]
    assert image[:1].tolist() == [[[0, 0, 0]] * 3]


def test_mono_becomes_grey() -> None:
    assert compat.image_rgb(message("mono8", np.array([[7, 250]], np.uint8))).tolist() == [[[7] * 3, [250] * 3]]


@pytest.mark.parametrize("bigendian", [False, True])
def test_mono16_is_scaled_to_eight_bits(bigendian: bool) -> None:
    rows = np.array([[0, 257, 32768, 65535]], np.uint16)
    image = compat.image_rgb(message("mono16", rows, padding=2, bigendian=bigendian))
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_the_scenes_colour(pattern: str) -> None:
    values = {"r": 200, "g": 100, "b": 50}
    cell = np.array([values[letter] for letter in pattern], np.uint8).reshape(2, 2)
    image = compat.image_rgb(message(f"bayer_{pattern}8", np.tile(cell, (4, 4))))
    assert image[4, 4].tolist() == [200, 100, 50]


@pytest.mark.parametrize(("encoding", "pair"), [("uyvy", (128, 90, 128, 200)), ("yuv422_yuy2", (90, 128, 200, 128))])
def test_yuv_without_colour_is_grey_and_keeps_its_order(encoding: str, pair: tuple[int, ...]) -> None:
    rows = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (2, 2, 1))
    first, second = compat.image_rgb(message(encoding, rows))[0, :2].astype(int)
    assert abs(first - (90 - 16) * 255 / 219).max() < 2
    assert abs(second - (200 - 16) * 255 / 219).max() < 2


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
    labels = compat.image_array(message(encoding, rows, padding=3, bigendian=bigendian))
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
        (broken(height=2**31), "bytes of data, got 18"),
    ],
)
def test_a_message_that_does_not_fit_together_is_refused(image: Image, complaint: str) -> None:
    with pytest.raises(GarError) as caught:
        compat.image_rgb(image)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert complaint in caught.value.message


def test_yuv_of_odd_width_is_refused() -> None:
    with pytest.raises(GarError, match="3x2 px"):
        compat.image_rgb(message("uyvy", np.zeros((2, 3, 2), np.uint8)))


def install_bridge(monkeypatch: pytest.MonkeyPatch, prefix: Path, file: Path, pixels: list[list[list[int]]]) -> None:
    """A package cv_bridge at `file` that converts every image to `pixels`; ament knows one in `prefix`."""

    class CvBridge:
        def imgmsg_to_cv2(self, image: Image, encoding: str) -> NDArray[np.uint8]:
            return np.array(pixels, np.uint8)

    module = ModuleType("cv_bridge")
    module.__file__ = str(file)
    module.CvBridge = CvBridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", module)
    marker = prefix / "share/ament_index/resource_index/packages/cv_bridge"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))


RIGHT = [[[3, 2, 1]], [[6, 5, 4]]]
"""What cv_bridge must make of the probe that compat shows it."""


def test_ros_own_cv_bridge_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_bridge(monkeypatch, tmp_path, tmp_path / "lib/python3/site-packages/cv_bridge/__init__.py", RIGHT)
    convert = compat._ros_cv_bridge()
    assert convert is not None
    assert convert(Image()).tolist() == RIGHT


def test_a_cv_bridge_from_elsewhere_is_not_mistaken_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_bridge(monkeypatch, tmp_path / "ros", tmp_path / "venv/cv_bridge/__init__.py", RIGHT)
    assert compat._ros_cv_bridge() is None


def test_a_cv_bridge_that_gives_wrong_pixels_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_bridge(monkeypatch, tmp_path, tmp_path / "cv_bridge/__init__.py", [[[3, 2, 1]], [[0, 6, 5]]])
    assert compat._ros_cv_bridge() is None


def test_without_any_prefix_there_is_no_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert compat._ros_cv_bridge() is None


def test_an_image_message_holds_its_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    message = compat.image_message(pixels[:, ::2], "mono16", Header(frame_id="camera"))
    assert (message.width, message.height, message.step, message.header.frame_id) == (3, 4, 6, "camera")
    assert np.frombuffer(message.data, np.uint16).reshape(4, 3).tolist() == pixels[:, ::2].tolist()
