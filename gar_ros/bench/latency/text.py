# SPDX-License-Identifier: Apache-2.0
"""The tables as Markdown, which a terminal shows readably too, and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gar_ros.bench.latency.rows import Limits, Row, Table

_HEADS = ("", "model", "released way", "here", "ratio", "peak memory GB", "share of the limit")


def markdown(tables: Sequence[Table], limits: Limits, machine: Mapping[str, str]) -> str:
    """All tables under their headings, each column as wide as its widest cell."""
    about = ", ".join(machine.values())
    lines = [f"{about}. {_limit_words(limits)}"] if not math.isnan(limits.flops) else [f"{about}."]
    for table in tables:
        lines += ["", f"**{table.about}**", "", *_aligned([_HEADS, *map(_cells, table.rows)])]
        passes = next((row.passes for row in table.rows if row.passes), 0)
        if passes:
            measured = "one pass that was" if passes == 1 else f"{passes} passes that were"
            lines += [
                "",
                f"The released way is computed from {measured} measured: each answer takes a pass of its own.",
            ]
    return "\n".join(lines)


def as_json(tables: Sequence[Table], limits: Limits) -> dict[str, Any]:
    """Limits and rows as JSON has them: null for what was not measured."""
    rows = [
        {"case": table.case.name, "about": table.about, **dataclasses.asdict(row), "ratio": row.ratio}
        for table in tables
        for row in table.rows
    ]
    return {"limits": _numbers(dataclasses.asdict(limits)), "rows": [_numbers(row) for row in rows]}


def _limit_words(limits: Limits) -> str:
    return f"Limits: {limits.flops / 1e9:.0f} GFLOP/s in fp32 matrices, {limits.bandwidth / 1e9:.1f} GB/s read."


def _cells(row: Row) -> tuple[str, ...]:
    shares = " / ".join(f"{share:.0%}" for share in row.shares if not math.isnan(share))
    peaks = " / ".join(f"{peak / 1e9:.2f}" for peak in row.peaks if not math.isnan(peak))
    unit = "tokens/s" if row.rate else "s"
    times = [f"{_figures(value)} {unit}" if not math.isnan(value) else "" for value in (row.released, row.ours)]
    ratio = "" if math.isnan(row.ratio) else f"{_figures(row.ratio)} ×"
    return (row.what, row.model, *times, ratio, peaks, f"{shares} of {row.limit}" if shares else "")


def _figures(value: float) -> str:
    """Three significant figures, without an exponent."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{decimals}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without NaN, which JSON doesn't have."""
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_number(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
