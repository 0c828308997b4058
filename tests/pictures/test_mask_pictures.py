# SPDX-License-Identifier: Apache-2.0
"""A mask picture is read by what it looks like: bright on black, or opaque on transparent; else it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.pictures.files import load_mask
from gar_ros.pictures.masks import UnclearMaskError, inside

SHAPE = np.zeros((48, 64), bool)
SHAPE[10:30, 20:50] = True
SHAPE[10:20, 20:30] = False  # no rectangle, so that a turned mask is another

Colour = tuple[int, ...]


def two(inside: int | Colour, outside: int | Colour, dtype: type[np.generic] = np.uint8) -> NDArray[Any]:
    """The shape in two values or colours."""
    shape = SHAPE if np.isscalar(inside) else SHAPE[..., None]
    return np.where(shape, np.array(inside, dtype), np.array(outside, dtype))


def palette(inside: int, outside: int, *colours: Colour) -> Image.Image:
    picture = Image.fromarray(two(inside, outside)).convert("P")
    picture.putpalette([value for colour in colours for value in colour])
    return picture


def smooth(sigma: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(two(255, 0), (0, 0), sigma), np.uint8)


def speckled(*levels: int) -> NDArray[np.uint8]:
    """The shape with a second area of each of these levels beside it."""
    pixels = two(255, 0)
    for number, level in enumerate(levels):
        pixels[35:40, 5 + 10 * number : 10 + 10 * number] = level
    return pixels


WHITE, BLACK, RED, GREEN = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0)
PNG_MASKS = {
    "white on black": two(255, 0),
    "1 on 0": two(1, 0),
    "a label on 0": two(17, 0),
    "black is 1": two(255, 1),
    "black is 1, in colours": two(WHITE, (1, 1, 1)),
    "nearly white": two(250, 3),
    "1 bit": SHAPE,
    "16 bits": two(65535, 0, np.uint16),
    "16 bits, 1 on 0": two(1, 0, np.uint16),
    "16 bits, 255 on 1": two(255, 1, np.uint16),
    "red on black": two(RED, BLACK),
    "blue on black": two((0, 0, 255), BLACK),
    "dark red on black": two((128, 0, 0), BLACK),
    "smooth edge": smooth(0.8),
    "shape in alpha of white": two((*WHITE, 255), (*WHITE, 0)),
    "shape in alpha of black": two((*BLACK, 255), (*BLACK, 0)),
    "shape in alpha, what is hidden is white": two((*BLACK, 255), (*WHITE, 0)),
    "shape in alpha, half transparent": two((*RED, 128), (*RED, 0)),
    "shape in alpha, 1 on 0": two((*WHITE, 1), (*WHITE, 0)),
    "shape in colours, all opaque": two((*WHITE, 255), (*BLACK, 255)),
    "shape in colours, all half transparent": two((*WHITE, 99), (*BLACK, 99)),
    "shape in both": two((*WHITE, 255), (*BLACK, 0)),
    "grey and alpha": Image.fromarray(two((255, 255), (255, 0)), "LA"),
    "palette with white first": palette(0, 1, WHITE, BLACK),
    "palette with black first": palette(1, 0, BLACK, WHITE),
    "palette of a label": palette(15, 0, BLACK, *[(7, 7, 7)] * 14, (192, 128, 128)),
}


def cut_out() -> Image.Image:
    """A photograph of the region alone."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return Image.fromarray(np.dstack([noise, two(255, 0)]))


def with_transparent_rows() -> NDArray[np.uint8]:
    """As the mask of the model's released demo: white on black, two rows transparent."""
    pixels = two((*WHITE, 255), (*BLACK, 255))
    pixels[[0, -1]] = 0
    return pixels


PNG_MASKS |= {"a cut-out": cut_out(), "transparent border": with_transparent_rows()}


def saved(folder: Path, picture: Image.Image | NDArray[Any], name: str = "a.png", **options: Any) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("picture", PNG_MASKS.values(), ids=PNG_MASKS.keys())
def test_the_shape_is_found(tmp_path: Path, picture: Image.Image | NDArray[Any]) -> None:
    np.testing.assert_array_equal(load_mask(saved(tmp_path, picture)), SHAPE)


def test_what_is_around_a_shape_can_be_asked_about_by_alpha(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_mask(saved(tmp_path, two((*WHITE, 0), (*WHITE, 255)))), ~SHAPE)


def test_a_transparent_colour_of_a_palette_is_outside(tmp_path: Path) -> None:
    path = saved(tmp_path, palette(1, 0, GREEN, RED), transparency=0)
    np.testing.assert_array_equal(load_mask(path), SHAPE)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("inside", [WHITE, RED, (255, 200, 0)])
def test_the_noise_of_jpeg_is_no_region(tmp_path: Path, inside: Colour, quality: int) -> None:
    mask = load_mask(saved(tmp_path, two(inside, BLACK), "a.jpg", quality=quality))
    edges = cv2.morphologyEx(SHAPE.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert not (mask ^ SHAPE)[~edges].any()


@pytest.mark.parametrize("picture", [two(0, 0), two(BLACK, BLACK), two(0, 0, np.uint16)])
def test_a_black_picture_has_nothing_inside(tmp_path: Path, picture: NDArray[Any]) -> None:
    assert not load_mask(saved(tmp_path, picture)).any()
    assert not inside(Image.open(saved(tmp_path, two(3, 0), "a.jpg"))).any()


UNCLEAR = {
    "all white": (two(255, 255), "nothing black"),
    "all 1": (two(1, 1), "nothing black"),
    "all of one colour": (two(RED, RED), "nothing black"),
    "grey on white": (two(128, 255), "nothing black"),
    "red on white": (two(RED, WHITE), "nothing black"),
    "red on green": (two(RED, GREEN), "nothing black"),
    "palette, red on white": (palette(1, 0, WHITE, RED), "nothing black"),
    "label 2 on 1": (two(2, 1), "nothing black"),
    "a second label": (speckled(100), "got several"),
    "a second, brighter label": (speckled(200, 254), "got several"),
    "labels 1 and 255": (speckled(1), "got several"),
    "many labels": (np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((9, 9), np.uint8)), "got several"),
    "two colours": (
        np.where(speckled(7)[..., None] == 7, np.array([0, 0, 255], np.uint8), two(RED, BLACK)),
        "got several",
    ),
    "inverted": (two(0, 255), "got black within what is bright, as if inverted"),
    "inverted, black is 1": (two(1, 255), "got black within what is bright, as if inverted"),
    "palette, black on white": (palette(1, 0, WHITE, BLACK), "got black within what is bright, as if inverted"),
    "very smooth": (smooth(60), "nothing black"),
    "transparent all over": (two((*WHITE, 0), (*BLACK, 0)), "transparent all over"),
    "nearly transparent": (two((*WHITE, 255), (*WHITE, 128)), "nothing black"),
}


@pytest.mark.parametrize(("picture", "complaint"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_an_unclear_mask_is_refused_by_name(
    tmp_path: Path, picture: Image.Image | NDArray[Any], complaint: str
) -> None:
    with pytest.raises(GarError, match=rf"'.*a\.png': expected a mask, .*{complaint}") as caught:
        load_mask(saved(tmp_path, picture))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("level", [100, 150, 200])
def test_a_second_label_is_refused_in_a_jpeg_too(tmp_path: Path, level: int) -> None:
    pixels = two(255, 0)
    pixels[32:48, 32:64] = level
    with pytest.raises(GarError, match="got several"):
        load_mask(saved(tmp_path, pixels, "a.jpg"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_numbers_that_are_no_brightness_are_refused(tmp_path: Path, value: float) -> None:
    pixels = two(1, 0, np.float32)
    pixels[0, 0] = value
    with pytest.raises(GarError, match="got negative or infinite numbers, or NaN"):
        load_mask(saved(tmp_path, pixels, "a.tif"))


@given(st.data(), st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F"]))
def test_any_picture_is_a_mask_or_refused(data: st.DataObject, mode: str) -> None:
    """And never all of it."""
    width, height = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    values = data.draw(st.lists(st.sampled_from([0, 0, 1, 2, 128, 254, 255]), min_size=1, max_size=4 * width * height))
    raw = bytes(np.resize(np.array(values, np.uint8), 4 * width * height))
    picture = Image.frombytes(mode, (width, height), raw[: len(Image.new(mode, (width, height)).tobytes())])
    try:
        mask = inside(picture)
    except UnclearMaskError:
        return
    assert mask.shape == (height, width)
    assert not mask.all()
