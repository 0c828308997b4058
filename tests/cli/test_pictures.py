# SPDX-License-Identifier: Apache-2.0
"""Every kind of picture file becomes RGB or a mask, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.pictures import load_image, load_mask
from gar_ros.errors import ErrorCode, GarError

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


def two_pixels(left: tuple[int, ...], right: tuple[int, ...], mode: str) -> Image.Image:
    picture = Image.new(mode, (2, 1))
    picture.putpixel((0, 0), left)
    picture.putpixel((1, 0), right)
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        two_pixels(RED, GREEN, "RGB"),
        two_pixels((*RED, 255), (*GREEN, 0), "RGBA"),
        two_pixels(RED, GREEN, "RGB").quantize(4),
    ],
    ids=["RGB", "RGBA", "palette"],
)
def test_colour_pictures(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), [[RED, GREEN]])


@pytest.mark.parametrize("grey", [np.array([[0, 200]], np.uint8), np.array([[255, 200 * 256 + 255]], np.uint16)])
def test_grey_pictures_of_8_and_16_bits(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), [[[0] * 3, [200] * 3]])


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_other_colour_spaces(tmp_path: Path, mode: str) -> None:
    name = "a.jpg" if mode == "YCbCr" else "a.tif"
    Image.new("RGB", (3, 2), (200, 60, 30)).convert(mode).save(tmp_path / name)
    np.testing.assert_allclose(load_image(tmp_path / name).astype(int), np.full((2, 3, 3), (200, 60, 30)), atol=3)


def test_colour_of_16_bits(tmp_path: Path) -> None:
    deep = np.array([[(30, 60, 200), (0, 0, 255)]], np.uint16) * 257  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), [[(200, 60, 30), RED]])


def test_the_first_image_of_an_animation(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 1), RED), Image.new("RGB", (2, 1), GREEN)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(load_image(tmp_path / "a.gif"), [[RED, RED]])


@pytest.mark.parametrize("pixels", [np.array([[0, 200]], np.int32), np.array([[0, 0.5]], np.float32)])
def test_pictures_of_32_bits_can_be_masks_only(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load_mask(tmp_path / "a.tif"), [[False, True]])
    with pytest.raises(GarError, match="expected 8 or 16 bits a channel, got 32-bit numbers"):
        load_image(tmp_path / "a.tif")


def test_a_large_photograph_is_read_in_silence_and_a_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("RGB", (15, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # it warns above, and refuses twice as many
    assert load_image(tmp_path / "a.png").shape == (10, 15, 3)
    assert list(recwarn) == []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70)
    with pytest.raises(GarError, match=r"can't be read as a picture: Image size \(150 pixels\) exceeds limit"):
        load_image(tmp_path / "a.png")


def test_a_rotated_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    Image.new("RGB", (20, 10), RED).save(tmp_path / "a.jpg", exif=exif)
    assert load_image(tmp_path / "a.jpg").shape == (20, 10, 3)


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(np.array([[0, 1]], np.uint8)),
        Image.fromarray(np.array([[0, 1]], np.uint16)),
        Image.fromarray(np.array([[False, True]])),
        two_pixels((*BLACK, 255), (*RED, 255), "RGBA"),
    ],
    ids=["grey", "16 bits", "1 bit", "RGBA"],
)
def test_a_mask_is_what_is_not_black(tmp_path: Path, mask: Image.Image) -> None:
    mask.save(tmp_path / "a.png")
    inside = load_mask(tmp_path / "a.png")
    assert inside.dtype == np.bool_
    np.testing.assert_array_equal(inside, [[False, True]])


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for path in (tmp_path / "cut.jpg", tmp_path / "cut.png", tmp_path / "text.png", tmp_path / "absent.png", tmp_path):
        with pytest.raises(GarError, match="can't be read as a picture") as caught:
            load_image(path)
        assert str(path) in caught.value.message
        assert caught.value.code == ErrorCode.INVALID_REQUEST
