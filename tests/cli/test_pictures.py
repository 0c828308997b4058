"""Every kind of picture file becomes RGB or a mask, or is refused by name."""

from __future__ import annotations

from pathlib import Path

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
    for path in (tmp_path / "cut.png", tmp_path / "text.png", tmp_path / "absent.png", tmp_path):
        with pytest.raises(GarError, match="can't be read as a picture") as caught:
            load_image(path)
        assert str(path) in caught.value.message
        assert caught.value.code == ErrorCode.INVALID_REQUEST
