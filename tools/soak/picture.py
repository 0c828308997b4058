# SPDX-License-Identifier: Apache-2.0
"""Memory, latency and queue of a soak over time, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from gar_ros.view.colours import Colour
from gar_ros.view.text import font_for
from tools.soak.findings import Findings

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP, BOTTOM = 900, 170, 70, 16, 34, 40, 46
"""Pixels: of the picture, of a panel's height, and of the margins around and between panels."""
BINS = 120
"""Latencies are summed up in so many stretches of time."""

_WHITE, _BLACK, _FRAME, _GRID = (255, 255, 255), (30, 30, 30), (150, 150, 150), (228, 228, 228)
_FIRST: Colour = (31, 95, 180)
_SECOND: Colour = (222, 120, 20)
_KILLS: dict[str, Colour] = {"camera": (240, 190, 190), "detector": (200, 225, 200), "planner": (222, 222, 240)}

Points = Sequence[tuple[float, float]]
"""(minutes, value), in the order of time."""


class Line(NamedTuple):
    """One curve of a panel."""

    name: str
    colour: Colour
    points: Points


class Panel(NamedTuple):
    """Curves over the same time. from_zero: whether its axis begins at 0."""

    title: str
    lines: Sequence[Line]
    from_zero: bool


def drawn(findings: Findings) -> bytes:
    """The picture as a PNG file."""
    begin = min((row["t"] for row in findings.samples), default=0.0)
    minutes = max([findings.minutes, *((row["t"] - begin) / 60 for row in findings.samples)])
    panels = _panels(findings, begin, minutes)
    height = TOP + len(panels) * (PANEL + GAP) - GAP + BOTTOM
    image = Image.new("RGB", (WIDTH, height), _WHITE)
    draw = ImageDraw.Draw(image)
    kills = [
        ((row["t"] - begin) / 60, _KILLS[row["who"].rstrip("0123456789")])
        for row in findings.events
        if row["event"] == "killed"
    ]
    for number, panel in enumerate(panels):
        _draw_panel(draw, panel, TOP + number * (PANEL + GAP), minutes, kills)
    _draw_legend(draw, height - 18, minutes)
    file = io.BytesIO()
    image.quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _panels(findings: Findings, begin: float, minutes: float) -> list[Panel]:
    memory = [((row["t"] - begin) / 60, float(row["rss"])) for row in findings.samples]
    waiting = [
        ((row["t"] - begin) / 60, float(row["told"]["requests waiting"]))
        for row in findings.samples
        if "requests waiting" in row["told"]
    ]
    answered = [((row["t"] - begin) / 60, float(row["seconds"])) for row in findings.replies if row["code"] == "OK"]
    return [
        Panel("memory of the node, MiB", [Line("resident", _FIRST, memory)], False),
        Panel(
            "latency of answers, s",
            [
                Line("median", _FIRST, binned(answered, minutes, 50)),
                Line("95 %", _SECOND, binned(answered, minutes, 95)),
            ],
            True,
        ),
        Panel("requests that wait for the model", [Line("waiting", _FIRST, waiting)], True),
    ]


def binned(points: Points, minutes: float, percentile: float) -> list[tuple[float, float]]:
    """The percentile of the values in each of BINS stretches that has any, at the middle of the stretch."""
    width = minutes / BINS
    found: dict[int, list[float]] = {}
    for at, value in points:
        found.setdefault(int(at / width), []).append(value)
    return [((bin_ + 0.5) * width, float(np.percentile(found[bin_], percentile))) for bin_ in sorted(found)]


def _draw_panel(
    draw: ImageDraw.ImageDraw, panel: Panel, top: int, minutes: float, kills: Sequence[tuple[float, Colour]]
) -> None:
    values = [value for line in panel.lines for _, value in line.points] or [0.0, 1.0]
    low, high = (0.0 if panel.from_zero else min(values)), max(values)
    step = nice_step((high - low) or 1.0)
    low, high = np.floor(low / step) * step, max(np.ceil(high / step) * step, low + step)
    left, right, bottom = LEFT, WIDTH - RIGHT, top + PANEL

    def place(at: float, value: float) -> tuple[float, float]:
        return left + at / minutes * (right - left), bottom - (value - low) / (high - low) * PANEL

    small, font = font_for("0", 13), font_for("a", 15)
    for at, colour in kills:
        x = place(at, low)[0]
        draw.line((x, top, x, bottom), fill=colour)
    for tick in np.arange(low, high + step / 2, step):
        y = place(0, tick)[1]
        draw.line((left, y, right, y), fill=_GRID)
        draw.text((left - 8, y), f"{tick:g}", fill=_BLACK, font=small, anchor="rm")
    draw.rectangle((left, top, right, bottom), outline=_FRAME)
    draw.text((left, top - 6), panel.title, fill=_BLACK, font=font, anchor="ls")
    x = right
    for line in reversed(panel.lines):
        if len(line.points) > 1:
            draw.line([place(*point) for point in line.points], fill=line.colour, width=2)
        if len(panel.lines) > 1:
            draw.text((x, top - 6), line.name, fill=line.colour, font=font, anchor="rs")
            x -= round(font.getlength(line.name)) + 14


def _draw_legend(draw: ImageDraw.ImageDraw, y: int, minutes: float) -> None:
    small = font_for("0", 13)
    step = nice_step(minutes)
    for tick in np.arange(0, minutes + step / 100, step):
        x = LEFT + tick / minutes * (WIDTH - RIGHT - LEFT)
        draw.text((x, y - 20), f"{tick:g}", fill=_BLACK, font=small, anchor="mm")
    draw.text((LEFT, y), "minutes; lines across: SIGKILL of", fill=_BLACK, font=small, anchor="lm")
    x = LEFT + small.getlength("minutes; lines across: SIGKILL of") + 12
    for who, colour in _KILLS.items():
        draw.rectangle((x, y - 6, x + 12, y + 6), fill=colour)
        draw.text((x + 18, y), who, fill=_BLACK, font=small, anchor="lm")
        x += 34 + small.getlength(who)


def nice_step(span: float) -> float:
    """1, 2 or 5 times a power of ten: a step that divides the span in four to ten parts."""
    power = 10.0 ** np.floor(np.log10(span / 4))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= span / 4))
