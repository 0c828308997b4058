# SPDX-License-Identifier: Apache-2.0
"""A moving picture of the demo: the overlay, below it each question with its answer and the simulator's truth."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import write_atomically
from gar_ros.view.colours import Colour, region_colour, text_colour_on
from gar_ros.view.text import drawable, font_for, shorten

WIDTH = 560
"""Pixels of the film."""

COLOURS = 144
"""Of the palette that all frames share. Without dithering, what doesn't change between frames costs nothing."""

_PANEL_HEIGHT = 136
_MARGIN, _PAD = 16, 4
_QUESTION_SIZES, _ANSWER_SIZES, _SMALL_SIZES = (21, 18, 16, 14), (26, 22, 18, 14), (15, 13)  # of fonts, pixels
_FACT_ROWS, _FACT_COLUMNS = 5, 3
_BACKGROUND: Colour = (24, 26, 30)
_TEXT: Colour = (240, 240, 240)
_FAINT: Colour = (160, 165, 172)
_VERDICT_RGB: dict[str, Colour] = {RIGHT: (76, 200, 110), WRONG: (240, 84, 84), MISSED: (240, 84, 84)}
_READ_MS, _TYPE_MS, _ANSWER_MS, _FACT_MS, _END_MS = 600, 100, 1600, 120, 3500
_TYPED = 4  # frames in which an answer is typed
_REGION_ID = re.compile(r"(?<!\.)(\b\d+\b)(?!\.\d)")  # a whole number


class _Frame(NamedTuple):
    """One frame: an overlay with a panel below it, shown for some milliseconds."""

    picture: Image.Image
    panel: Image.Image
    time: int


class Film:
    """Frames with the time that each is shown."""

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        self._shown: Image.Image | None = None  # the newest overlay, in the film's width

    def open(self, picture: NDArray[np.uint8]) -> None:
        """The overlay (H, W, 3) RGB from before the first answer."""
        self._shown = _scaled(picture)

    def answer(self, picture: NDArray[np.uint8], title: str, row: Row) -> None:
        """One question: first as asked, then the answer being typed, then the verdict.

        picture: overlay (H, W, 3) RGB from after the answer. Until it is typed, the one before is shown.
        """
        after = _scaled(picture)
        before = self._shown or after
        self._shown = after
        self._frames.append(_Frame(before, _answer_panel(title, row, "", told=False), _READ_MS))
        for step in range(1, _TYPED):
            part = row.answer[: max(1, len(row.answer) * step // _TYPED)]
            self._frames.append(_Frame(before, _answer_panel(title, row, part, told=False), _TYPE_MS))
        self._frames.append(_Frame(after, _answer_panel(title, row, row.answer, told=True), _ANSWER_MS))

    def facts(self, picture: NDArray[np.uint8], title: str, rows: Sequence[Row]) -> None:
        """A scene graph, one fact after another. picture: overlay (H, W, 3) RGB."""
        self._shown = _scaled(picture)
        for count in range(1, len(rows) + 1):
            time = _FACT_MS if count < len(rows) else _END_MS
            self._frames.append(_Frame(self._shown, _facts_panel(title, rows[:count]), time))

    def save(self, path: Path) -> None:
        """Writes the film as a GIF that runs without end. Raises OSError; GarError NO_FRAME when nothing was filmed."""
        if not self._frames:
            raise GarError(ErrorCode.NO_FRAME, "expected answers to film, but none came")
        parts = {id(image): image for frame in self._frames for image in (frame.picture, frame.panel)}
        palette = _palette(list(parts.values()))
        parts = {key: image.quantize(palette=palette, dither=Image.Dither.NONE) for key, image in parts.items()}
        frames = []
        for picture, panel, _ in self._frames:
            frame = Image.new("P", (WIDTH, picture.height + panel.height))
            frame.putpalette(palette.getpalette() or [])
            frame.paste(parts[id(picture)], (0, 0))
            frame.paste(parts[id(panel)], (0, picture.height))
            frames.append(frame)
        gif = io.BytesIO()
        times = [frame.time for frame in self._frames]
        frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False)
        write_atomically(path, gif.getvalue())


def _scaled(picture: NDArray[np.uint8]) -> Image.Image:
    height, width = picture.shape[:2]
    return Image.fromarray(picture).resize((WIDTH, round(height * WIDTH / width)), Image.Resampling.LANCZOS)


def _palette(images: Sequence[Image.Image]) -> Image.Image:
    """One palette for all: the colours of region ids and verdicts as they are, the others as the images need them."""
    exact = [_BACKGROUND, _TEXT, _FAINT, *_VERDICT_RGB.values(), *(region_colour(str(one)) for one in range(1, 17))]
    strip = Image.new("RGB", (WIDTH // 4, sum(image.height // 4 for image in images)))
    top = 0
    for image in images:
        strip.paste(image.resize((WIDTH // 4, image.height // 4), Image.Resampling.NEAREST), (0, top))
        top += image.height // 4
    others = strip.quantize(COLOURS - len(exact), Image.Quantize.MEDIANCUT, kmeans=1).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*itertools.chain(*exact), *others])
    return palette


def _answer_panel(title: str, row: Row, typed: str, told: bool) -> Image.Image:
    """Title, question and as much of the answer as is typed. told: whether probability and truth are shown."""
    panel, draw = _panel(title)
    _draw_line(draw, (_MARGIN, 34), row.asked, _TEXT, _QUESTION_SIZES)
    colour = _VERDICT_RGB.get(row.verdict, _TEXT) if told else _TEXT
    x = _draw_line(draw, (_MARGIN, 68), typed, colour, _ANSWER_SIZES)
    if told:
        if row.probability is not None:
            _draw_line(draw, (x + 14, 72), f"{row.probability:.2f}", _FAINT, _QUESTION_SIZES, badges=False)
        _draw_mark(draw, (_MARGIN, 106), row.verdict)
        _draw_line(draw, (_MARGIN + 24, 105), f"simulator: {row.truth}", _FAINT, _SMALL_SIZES, badges=False)
    return panel


def _facts_panel(title: str, rows: Sequence[Row]) -> Image.Image:
    """Title and facts in columns, with probability and mark; the title says so where not all have room."""
    room = _FACT_ROWS * _FACT_COLUMNS
    panel, draw = _panel(title if len(rows) <= room else f"{title}; {room} of {len(rows)} facts")
    for number, row in enumerate(rows[:room]):
        column, line = divmod(number, _FACT_ROWS)
        x, y = _MARGIN + column * (WIDTH - _MARGIN) // _FACT_COLUMNS, 34 + line * 20
        _draw_mark(draw, (x, y + 1), row.verdict)
        probability = row.answer if row.probability is None else f"{row.probability:.2f}"
        end = _draw_line(draw, (x + 22, y), row.asked, _TEXT, _SMALL_SIZES)
        _draw_line(draw, (end + 8, y), probability, _FAINT, _SMALL_SIZES, badges=False)
    return panel


def _panel(title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    panel = Image.new("RGB", (WIDTH, _PANEL_HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(panel)
    _draw_line(draw, (_MARGIN, 10), title, _FAINT, _SMALL_SIZES, badges=False)
    return panel, draw


def _draw_line(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    colour: Colour,
    sizes: Sequence[int],
    badges: bool = True,
) -> int:
    """Draws a line of text in the largest size in which it fits, else cut; returns the x of its end.

    at: its left upper corner. badges: whether region ids lie on their colour, as in the picture.
    """
    x, y = at
    room = WIDTH - _MARGIN - x
    font = next((f for f in (font_for(text, size) for size in sizes) if f.getlength(text) <= room), None)
    if font is None:
        font = font_for(text, sizes[-1])
        text = shorten(drawable(text, font), font.getlength, room)
    for part in _REGION_ID.split(text) if badges else [text]:
        length = round(font.getlength(part))
        if badges and _REGION_ID.fullmatch(part):
            background = region_colour(part)
            top, bottom = font.getbbox("0")[1], font.getbbox("0")[3]
            draw.rectangle((x, y + top - 3, x + length + 2 * _PAD, y + bottom + 3), fill=background)
            draw.text((x + _PAD, y), part, fill=text_colour_on(background), font=font)
            x += length + 2 * _PAD
        else:
            draw.text((x, y), part, fill=colour, font=font)
            x += length
    return x


def _draw_mark(draw: ImageDraw.ImageDraw, at: tuple[int, int], verdict: str) -> None:
    """A tick for what is right, a cross for what is wrong or missed, nothing without verdict. at: left upper corner."""
    x, y = at
    if verdict == RIGHT:
        draw.line([(x, y + 8), (x + 5, y + 13), (x + 14, y + 2)], fill=_VERDICT_RGB[verdict], width=3, joint="curve")
    elif verdict:
        for start, end in (((x + 1, y + 2), (x + 12, y + 13)), ((x + 12, y + 2), (x + 1, y + 13))):
            draw.line([start, end], fill=_VERDICT_RGB[verdict], width=3)
