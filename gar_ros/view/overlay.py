# SPDX-License-Identifier: Apache-2.0
"""The annotated picture: every region outlined in its own colour, its id and short answer beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region, check_regions
from gar_ros.view.colours import region_colour, text_colour_on
from gar_ros.view.labels import Spot, arrange_labels
from gar_ros.view.text import Font, drawable, font_for, shorten, wrap

FILL_OPACITY = 0.18  # low, so that an object's own colour stays recognisable
_PLATE = (18, 18, 18, 215)  # RGBA behind captions: white text on it is readable on any picture
_MAX_ID_CHARACTERS = 14  # characters


class _Style(NamedTuple):
    """How large labels are. The next, smaller style is tried when a label finds no free spot."""

    font_scale: float
    caption_lines: int


_STYLES = (_Style(1.0, 3), _Style(0.85, 1), _Style(0.7, 0))


class _Label(NamedTuple):
    """Measured texts of one label: an id badge on the left, caption lines on the right."""

    id_text: str
    id_font: Font
    lines: list[str]
    font: Font
    badge_width: int
    line_height: int
    pad: int
    size: tuple[int, int]  # (width, height) in pixels


def draw_overlay(image: NDArray[np.uint8], regions: Sequence[Region], captions: Mapping[str, str]) -> NDArray[np.uint8]:
    """A new picture (H, W, 3) uint8 RGB: `image` with the regions filled, outlined and labelled.

    image: (H, W, 3) uint8 RGB, not changed. captions: region id -> short answer; regions without one show their id.
    Line widths and text follow the image's size. Long captions are wrapped and cut; where labels crowd, all become
    smaller. Raises GarError INVALID_REQUEST when image, masks and ids don't fit together.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected an image of shape (H, W, 3) uint8, got {image.shape} {image.dtype}"
        )
    height, width = image.shape[:2]
    check_regions(tuple(regions), (width, height), limit=len(regions))
    picture = image.copy()
    for region in sorted(regions, key=_area, reverse=True):  # small ones last, so that they cover what they lie on
        _draw_region(picture, region)
    labels, spots = _fit_labels(regions, captions, (width, height))
    for region, label, spot in zip(regions, labels, spots, strict=True):
        _draw_leader(picture, region, label, spot)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for region, label, spot in zip(regions, labels, spots, strict=True):
        _draw_label(draw, region, label, spot)
    return np.array(canvas)


def _area(region: Region) -> int:
    return int(np.count_nonzero(region.mask))


def _line_width(image_size: tuple[int, int]) -> int:
    return max(1, round(min(image_size) / 240))


def _draw_region(picture: NDArray[np.uint8], region: Region) -> None:
    """Draws a translucent fill and an outline with a thin dark rim into `picture`."""
    height, width = picture.shape[:2]
    line = _line_width((width, height))
    margin = line + 2
    x0, y0 = max(region.box[0] - margin, 0), max(region.box[1] - margin, 0)
    x1, y1 = min(region.box[2] + margin, width), min(region.box[3] + margin, height)
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    mask = region.mask[y0:y1, x0:x1].astype(np.uint8)
    colour = region_colour(region.id)
    tinted = cv2.addWeighted(part, 1 - FILL_OPACITY, np.full_like(part, colour), FILL_OPACITY, 0)
    part = np.where(mask[:, :, None] != 0, tinted, part)
    # Straight runs as one line: drawn pixel by pixel, outlines took half the time of a picture.
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(part, contours, -1, (0, 0, 0), line + 2, cv2.LINE_AA)
    cv2.drawContours(part, contours, -1, colour, line, cv2.LINE_AA)
    picture[y0:y1, x0:x1] = part


def _fit_labels(
    regions: Sequence[Region], captions: Mapping[str, str], image_size: tuple[int, int]
) -> tuple[list[_Label], list[Spot]]:
    """Labels and their spots in the largest style in which no label covers another, else in the smallest style."""
    labels: list[_Label] = []
    spots: list[Spot] = []
    for style in _STYLES:
        labels = [_measure(region.id, captions.get(region.id, ""), style, image_size) for region in regions]
        too_much = sum(label.size[0] * label.size[1] for label in labels) > image_size[0] * image_size[1]
        if too_much and style is not _STYLES[-1]:
            continue
        spots = arrange_labels(regions, [label.size for label in labels], image_size)
        if all(spot.free for spot in spots):
            break
    return labels, spots


def _measure(region_id: str, caption: str, style: _Style, image_size: tuple[int, int]) -> _Label:
    """The label of a region, its texts cut to the room in an image of this size."""
    em = max(9, round(min(image_size) / 28 * style.font_scale))
    pad = max(1, em // 4)
    id_font, font = font_for(region_id, em), font_for(caption, em)
    id_text = drawable(region_id, id_font)
    if len(id_text) > _MAX_ID_CHARACTERS:  # cut in the middle, since ids often differ only at their end
        id_text = id_text[: _MAX_ID_CHARACTERS // 2] + "…" + id_text[-(_MAX_ID_CHARACTERS // 2 - 1) :]
    id_text = shorten(id_text, id_font.getlength, image_size[0] - 2 * pad)
    badge_width = round(id_font.getlength(id_text)) + 2 * pad
    room = min(12 * em, image_size[0] - badge_width - 2 * pad)
    lines = wrap(drawable(caption, font), font.getlength, room, style.caption_lines) if room > 3 * em else []
    line_height = max(sum(f.getmetrics()) for f in (id_font, font))
    caption_width = round(max(map(font.getlength, lines))) + 2 * pad if lines else 0
    size = (badge_width + caption_width, line_height * max(1, len(lines)) + pad)
    return _Label(id_text, id_font, lines, font, badge_width, line_height, pad, size)


def _draw_leader(picture: NDArray[np.uint8], region: Region, label: _Label, spot: Spot) -> None:
    """Draws a line from a label that lies apart from its region to the nearest point of the region's mask."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = region.box
    centre = np.array([spot.x + label.size[0] / 2, spot.y + label.size[1] / 2])
    rows, columns = np.nonzero(region.mask[y0:y1, x0:x1])
    points = np.stack([columns + x0, rows + y0], axis=1)
    target = points[np.argmin(((points - centre) ** 2).sum(axis=1))]
    start = np.clip(target, (spot.x, spot.y), (spot.x + label.size[0] - 1, spot.y + label.size[1] - 1))
    if np.hypot(*(target - start)) < label.line_height / 2:
        return
    ends = [(int(x), int(y)) for x, y in (start, target)]
    line = _line_width((width, height))
    cv2.line(picture, ends[0], ends[1], (0, 0, 0), line + 2, cv2.LINE_AA)
    cv2.line(picture, ends[0], ends[1], region_colour(region.id), line, cv2.LINE_AA)


def _draw_label(draw: ImageDraw.ImageDraw, region: Region, label: _Label, spot: Spot) -> None:
    x, y, colour = spot.x, spot.y, region_colour(region.id)
    right, bottom = x + label.size[0] - 1, y + label.size[1] - 1
    if label.lines:
        draw.rectangle((x, y, right, bottom), fill=_PLATE)
    draw.rectangle((x, y, x + label.badge_width - 1, bottom), fill=colour)
    top = y + label.pad // 2
    draw.text((x + label.pad, top), label.id_text, fill=text_colour_on(colour), font=label.id_font)
    for number, line in enumerate(label.lines):
        position = (x + label.badge_width + label.pad, top + number * label.line_height)
        draw.text(position, line, fill=(255, 255, 255), font=label.font)
