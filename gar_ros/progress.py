# SPDX-License-Identifier: Apache-2.0
"""How far a run is, on stderr: a bar on a terminal, now and then a line where the output is kept."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_LINE_SECONDS = 20.0


def _no_note() -> str:
    return ""


def progress(
    items: Iterable[T], done: int, total: int, unit: str = "item", note: Callable[[], str] = _no_note
) -> Iterator[T]:
    """The items, while it shows how many of `total` are done; `done` of them were before.

    unit: the singular of what an item is. note: what else is known so far.
    """
    show = _bar if sys.stderr.isatty() else _lines
    return show(items, done, total, unit, note)


def now_and_then() -> Callable[[str], None]:
    """Shows a line when the last one is some time ago: for a run whose end isn't known."""
    told = time.monotonic()

    def show(line: str) -> None:
        nonlocal told
        if time.monotonic() - told > _LINE_SECONDS:
            told = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    return show


def timed_lines() -> Callable[[str], None]:
    """Shows every line, after the seconds since this call: for a run of a few long steps."""
    start = time.monotonic()

    def show(line: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {line}", file=sys.stderr, flush=True)

    return show


def _bar(items: Iterable[T], done: int, total: int, unit: str, note: Callable[[], str]) -> Iterator[T]:
    from tqdm import tqdm

    # The sizes are given because tqdm shows nothing on a terminal that says it has none, such as a container's.
    columns, lines = shutil.get_terminal_size()
    sizes = {"ncols": min((columns or 80) - 1, 100), "nrows": lines or 24}
    with tqdm(items, initial=done, total=total, unit=unit, **sizes) as bar:
        for item in bar:
            yield item
            bar.set_postfix_str(note(), refresh=False)


def _lines(items: Iterable[T], done: int, total: int, unit: str, note: Callable[[], str]) -> Iterator[T]:
    start = told = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told > _LINE_SECONDS or done + count == total:
            each = (now - start) / count
            line = f"{done + count} of {total} {unit}s, {each:.2g} s each"
            print(", ".join(filter(None, (line, note()))), file=sys.stderr, flush=True)
            told = now
