# SPDX-License-Identifier: Apache-2.0
"""A moving picture of the demo: the overlay, below it each question with its answer and the simulator's truth."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.files import write_atomically
from gar_ros.view.colours import Colour, region_colour, text_colour_on
from gar_ros.view.text import drawable, font_for, shorten

WIDTH = 560
"""Pixels of the film."""

COLOURS = 96
"""Of the palette that all frames share. Without dithering, what doesn't change costs nothing."""

_PANEL_HEIGHT = 136
_MARGIN = 16
_QUESTION_SIZES, _ANSWER_SIZES, _SMALL_SIZES = (21, 18, 16, 14), (26, 22, 18, 14), (15, 13)  # of fonts, pixels
_FACT_ROWS, _FACT_COLUMNS = 5, 3
_BACKGROUND: Colour = (24, 26, 30)
_TEXT: Colour = (240, 240, 240)
_FAINT: Colour = (160, 165, 172)
_VERDICT_RGB: dict[str, Colour] = {RIGHT: (76, 200, 110), WRONG: (240, 84, 84), MISSED: (240, 84, 84)}
_READ_MS, _TYPE_MS, _ANSWER_MS, _FACT_MS, _END_MS = 900, 100, 1900, 250, 3500
_TYPED = 4  # frames in which an answer is typed
_REGION_ID = re.compile(r"(\b\d+\b)")


class Film:
    """Frames with the time that each is shown."""

    def __init__(self) -> None:
        self._frames: list[tuple[Image.Image, int]] = []
        self._shown: Image.Image | None = None  # the newest overlay, in the film's width

    def answer(self, picture: NDArray[np.uint8], title: str, row: Row) -> None:
        """One question: first as asked, then the answer being typed, then the verdict.

        picture: overlay (H, W, 3) RGB from after the answer. Until it is typed, the one before is shown.
        """
        after = _scaled(picture)
        before = self._shown or after
        self._shown = after
        self._add(before, _answer_panel(title, row, "", told=False), _READ_MS)
        for step in range(1, _TYPED):
            part = row.answer[: max(1, len(row.answer) * step // _TYPED)]
            self._add(before, _answer_panel(title, row, part, told=False), _TYPE_MS)
        self._add(after, _answer_panel(title, row, row.answer, told=True), _ANSWER_MS)

    def facts(self, picture: NDArray[np.uint8], title: str, rows: Sequence[Row]) -> None:
        """A scene graph, one fact after another. picture: overlay (H, W, 3) RGB."""
        self._shown = _scaled(picture)
        for count in range(1, len(rows) + 1):
            time = _FACT_MS if count < len(rows) else _END_MS
            self._add(self._shown, _facts_panel(title, rows[:count]), time)

    def save(self, path: Path) -> None:
        """Writes the film as a GIF that runs without end. Raises OSError; ValueError for a film without frames."""
        if not self._frames:
            raise ValueError("expected a film with frames, but nothing was filmed")
        palette = _palette([frame for frame, _ in self._frames])
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame, _ in self._frames]
        times = [time for _, time in self._frames]
        file = io.BytesIO()
        frames[0].save(
            file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False, disposal=1
        )
        write_atomically(path, file.getvalue())

    def _add(self, picture: Image.Image, panel: Image.Image, milliseconds: int) -> None:
        frame = Image.new("RGB", (WIDTH, picture.height + panel.height))
        frame.paste(picture, (0, 0))
        frame.paste(panel, (0, picture.height))
        self._frames.append((frame, milliseconds))


def _scaled(picture: NDArray[np.uint8]) -> Image.Image:
    height, width = picture.shape[:2]
    return Image.fromarray(picture).resize((WIDTH, round(height * WIDTH / width)), Image.Resampling.LANCZOS)


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """One palette for all frames."""
    sample = frames[:: max(1, len(frames) // 12)]
    strip = Image.new("RGB", (WIDTH, sum(frame.height for frame in sample)))
    for number, frame in enumerate(sample):
        strip.paste(frame, (0, number * frame.height))
    return strip.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


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
    """Title and facts in columns, with probability and mark."""
    panel, draw = _panel(title)
    for number, row in enumerate(rows[: _FACT_ROWS * _FACT_COLUMNS]):
        column, line = divmod(number, _FACT_ROWS)
        x, y = _MARGIN + column * (WIDTH - _MARGIN) // _FACT_COLUMNS, 34 + line * 20
        _draw_mark(draw, (x, y + 1), row.verdict)
        probability = "missed" if row.probability is None else f"{row.probability:.2f}"
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
    for part in _REGION_ID.split(text):
        length = round(font.getlength(part))
        fill = colour
        if badges and _REGION_ID.fullmatch(part):
            background = region_colour(part)
            top, bottom = font.getbbox("0")[1], font.getbbox("0")[3]
            draw.rectangle((x - 3, y + top - 3, x + length + 2, y + bottom + 3), fill=background)
            fill = text_colour_on(background)
        draw.text((x, y), part, fill=fill, font=font)
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
