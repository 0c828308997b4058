# SPDX-License-Identifier: Apache-2.0
"""Every kind of picture file becomes RGB or a mask, or is refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from gar_ros.errors import ErrorCode, GarError
from gar_ros.pictures.files import STORED, UPRIGHT, load_image, load_mask, load_picture
from gar_ros.region import Region

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


def test_postscript_is_no_picture(tmp_path: Path) -> None:
    """Pillow would run Ghostscript for it."""
    Image.new("RGB", (3, 2)).save(tmp_path / "a.eps")
    with pytest.raises(GarError, match="can't be read as a picture"):
        load_image(tmp_path / "a.eps")


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


# From here on: photographs that EXIF turns or mirrors, and what belongs to them.

PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (10, 20, 3), np.uint8)
"""As stored."""
SPOT = (3, 1, 8, 4)
"""A box in it."""


def exif(orientation: int) -> Image.Exif:
    metadata = Image.Exif()
    metadata[0x0112] = orientation
    return metadata


def photograph(folder: Path, orientation: int, pixels: np.ndarray = PHOTOGRAPH) -> Path:
    Image.fromarray(pixels).save(folder / "a.png", exif=exif(orientation))
    return folder / "a.png"


def spot_mask(folder: Path, orientation: int, *, shown: bool, tagged: bool = False) -> Path:
    """The mask of SPOT in PHOTOGRAPH. shown: as viewers show it. tagged: with the photograph's metadata."""
    mask = Image.fromarray(np.zeros((10, 20), np.uint8))
    mask.paste(255, SPOT)
    if shown:
        turned = Image.open(io.BytesIO(_png(mask, orientation)))
        mask = ImageOps.exif_transpose(turned)
    mask.save(folder / "mask.png", exif=exif(orientation if tagged else 1))
    return folder / "mask.png"


def _png(picture: Image.Image, orientation: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif(orientation))
    return file.getvalue()


def colours_of(region: Region, pixels: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, pixels[region.mask].tolist()))


EXPECTED = set(map(tuple, PHOTOGRAPH[SPOT[1] : SPOT[3], SPOT[0] : SPOT[2]].reshape(-1, 3).tolist()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_photograph_is_upright_as_pillow_turns_it(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTOGRAPH).save(path, exif=exif(orientation))
    with Image.open(path) as file:
        np.testing.assert_array_equal(load_image(path), np.asarray(ImageOps.exif_transpose(file)))
    assert load_picture(path).stored_shape == (10, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("shown", "regions_of"), [(True, UPRIGHT), (False, STORED)])
def test_a_mask_or_box_is_of_the_pixels_that_the_user_says(
    tmp_path: Path, orientation: int, shown: bool, regions_of: str
) -> None:
    picture = load_picture(photograph(tmp_path, orientation), regions_of)
    region = picture.region_of_mask("a", spot_mask(tmp_path, orientation, shown=shown))
    assert colours_of(region, picture.pixels) == EXPECTED
    box = region.box if shown else SPOT
    assert colours_of(picture.region_of_box("a", box), picture.pixels) == EXPECTED


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("shown", [True, False])
def test_a_mask_is_of_the_pixels_that_it_fits(tmp_path: Path, orientation: int, shown: bool) -> None:
    picture = load_picture(photograph(tmp_path, orientation))
    region = picture.region_of_mask("a", spot_mask(tmp_path, orientation, shown=shown))
    assert colours_of(region, picture.pixels) == EXPECTED


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_that_is_turned_as_its_photograph_belongs_to_it(tmp_path: Path, orientation: int) -> None:
    picture = load_picture(photograph(tmp_path, orientation))
    region = picture.region_of_mask("a", spot_mask(tmp_path, orientation, shown=False, tagged=True))
    assert colours_of(region, picture.pixels) == EXPECTED


@pytest.mark.parametrize("orientation", range(2, 9))
def test_what_may_be_of_both_is_refused_by_name(tmp_path: Path, orientation: int) -> None:
    with pytest.raises(GarError, match=r"the box 3,1,8,4 may be of both: .*--orientation upright"):
        load_picture(photograph(tmp_path, orientation)).region_of_box("a", SPOT)
    square = load_picture(photograph(tmp_path, orientation, PHOTOGRAPH[:, :10]))
    mask = tmp_path / "square.png"
    Image.fromarray(np.eye(10, dtype=np.uint8)).save(mask)
    with pytest.raises(GarError, match=r"EXIF orientation \(\d\), and '.*square.png' fits both: .*--orientation"):
        square.region_of_mask("a", mask)


def test_a_mask_of_any_other_size_is_left_to_be_refused(tmp_path: Path) -> None:
    Image.fromarray(np.eye(9, 7, dtype=np.uint8)).save(tmp_path / "mask.png")
    picture = load_picture(photograph(tmp_path, 6))
    assert picture.region_of_mask("a", tmp_path / "mask.png").mask.shape == (9, 7)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_exif_does_not_know_turns_nothing(tmp_path: Path, orientation: int) -> None:
    np.testing.assert_array_equal(load_image(photograph(tmp_path, orientation)), PHOTOGRAPH)


# From here on: what is no picture.


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
