# SPDX-License-Identifier: Apache-2.0
"""How the cost of questions grows, as a PNG: small panels, the released way and each model a line in all of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from gar_ros.bench.latency.curves import Curves, Panel, panels
from gar_ros.bench.latency.rows import Results
from gar_ros.bench.latency.sides import RELEASED
from gar_ros.view.colours import Colour
from gar_ros.view.text import font_for

COLUMNS, ROWS = 3, 2
CELL_WIDTH, CELL_HEIGHT = 640, 504
"""Pixels, of a panel with its margins; twice what a page shows, which makes lines smooth."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 112, 28, 68, 84
_WHITE, _BLACK, _FRAME, _GRID = (255, 255, 255), (30, 30, 30), (150, 150, 150), (228, 228, 228)
_RELEASED: Colour = (222, 120, 20)
_OURS: tuple[Colour, ...] = ((31, 95, 180), (40, 150, 90), (140, 80, 170), (90, 90, 90))
_DOT, _LINE, _GAP = 6, 4, 12
_TICKS = 5


class _Axis(NamedTuple):
    """A linear axis. low, high: the values at its ends. step: between ticks."""

    low: float
    high: float
    step: float

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """The values that are written."""
        count = round((self.high - self.low) / self.step)
        return [self.low + number * self.step for number in range(count + 1)]


def drawn(results: Results) -> bytes:
    """The picture as a PNG file."""
    image = Image.new("RGB", (COLUMNS * CELL_WIDTH, ROWS * CELL_HEIGHT), _WHITE)
    draw = ImageDraw.Draw(image)
    made = panels(results)
    for number, panel in enumerate(made):
        _draw_panel(draw, panel, number % COLUMNS * CELL_WIDTH, number // COLUMNS * CELL_HEIGHT)
    names = list(dict.fromkeys(name for panel in made for name in panel.curves))
    _draw_legend(draw, names, (COLUMNS - 1) * CELL_WIDTH + _LEFT, (ROWS - 1) * CELL_HEIGHT + _TOP)
    file = io.BytesIO()
    image.quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _colours(curves: Sequence[str] | Curves) -> Iterator[tuple[str, Colour]]:
    """The released way's is always the same; it comes first."""
    for number, name in enumerate(curves):
        yield name, _RELEASED if name == RELEASED else _OURS[(number - 1) % len(_OURS)]


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, x: int, y: int) -> None:
    left, right, top, bottom = x + _LEFT, x + CELL_WIDTH - _RIGHT, y + _TOP, y + CELL_HEIGHT - _BOTTOM
    points = [point for curve in panel.curves.values() for point in curve]
    # What is to the right are counts.
    across, up = _axis([at for at, _ in points], least_step=1.0), _axis([value for _, value in points])

    def place(at: float, value: float) -> tuple[float, float]:
        return left + across.share(at) * (right - left), bottom - up.share(value) * (bottom - top)

    small, font = font_for("0", 24), font_for("a", 28)
    for tick in up.ticks():
        at = place(across.low, tick)[1]
        draw.line((left, at, right, at), fill=_GRID, width=2)
        draw.text((left - _GAP, at), f"{tick:g}", fill=_BLACK, font=small, anchor="rm")
    for tick in across.ticks():
        at = place(tick, up.low)[0]
        draw.line((at, bottom, at, bottom + 8), fill=_FRAME, width=2)
        draw.text((at, bottom + _GAP), f"{tick:g}", fill=_BLACK, font=small, anchor="ma")
    draw.rectangle((left, top, right, bottom), outline=_FRAME, width=2)
    draw.text((left, top - _GAP), panel.title, fill=_BLACK, font=font, anchor="ls")
    draw.text(((left + right) / 2, bottom + 44), panel.across, fill=_BLACK, font=small, anchor="ma")
    for name, colour in _colours(panel.curves):
        _draw_curve(draw, panel.curves[name], colour, place)


def _draw_curve(
    draw: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    colour: Colour,
    place: Callable[[float, float], tuple[float, float]],
) -> None:
    placed = [place(*point) for point in points]
    if len(placed) > 1:
        draw.line(placed, fill=colour, width=_LINE)
    for x, y in placed:
        draw.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=colour)


def _draw_legend(draw: ImageDraw.ImageDraw, names: Sequence[str], x: int, y: int) -> None:
    font = font_for("a", 30)
    for name, colour in _colours(names):
        draw.rectangle((x, y + 8, x + 44, y + 16), fill=colour)
        draw.text((x + 64, y + 12), name, fill=_BLACK, font=font, anchor="lm")
        y += 52


def _axis(values: Sequence[float], least_step: float = 0.0) -> _Axis:
    """From 0 to the first tick that no value is beyond."""
    highest = max(values, default=0.0) or 1.0
    step = max(nice_step(highest), least_step)
    return _Axis(0.0, float(np.ceil(round(highest / step, 6)) * step), step)


def nice_step(span: float) -> float:
    """1, 2 or 5 times a power of ten: the smallest such step that divides the span in at most `_TICKS` parts."""
    power = 10.0 ** np.floor(np.log10(span / _TICKS))
    return float(min(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / _TICKS * (1 - 1e-9)))
