# SPDX-License-Identifier: Apache-2.0
"""How far a run is, on stderr: a bar on a terminal, now and then a line where the output is kept."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")

_LINE_SECONDS = 20.0
_NOTE_SECONDS = 0.2


def _no_note() -> str:
    return ""


def progress(
    items: Iterable[T], done: int, total: int, unit: str = "item", note: Callable[[], str] = _no_note
) -> Iterator[T]:
    """The items, while it shows how many of `total` are done; `done` of them were before.

    unit: the singular of what an item is. note: what else is known so far.
    """
    with advancing(done, total, unit, note) as advance:
        for item in items:
            yield item
            advance(1)


def advancing(
    done: int, total: int, unit: str = "item", note: Callable[[], str] = _no_note
) -> AbstractContextManager[Callable[[int], None]]:
    """As `progress`, for work that is no loop: the context gives a function that is told how many more are done, and
    0 where only the note has changed."""
    show = _bar if sys.stderr.isatty() else _lines
    return show(done, total, unit, note)


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


@contextmanager
def _bar(done: int, total: int, unit: str, note: Callable[[], str]) -> Iterator[Callable[[int], None]]:
    from tqdm import tqdm

    # The sizes are given because tqdm shows nothing on a terminal that says it has none, such as a container's.
    columns, lines = shutil.get_terminal_size()
    sizes = {"ncols": min((columns or 80) - 1, 100), "nrows": lines or 24}
    with tqdm(initial=done, total=total, unit=unit, **sizes) as bar:
        noted = time.monotonic()

        def advance(count: int) -> None:
            nonlocal noted
            bar.set_postfix_str(note(), refresh=False)
            bar.update(count)
            if not count and time.monotonic() - noted > _NOTE_SECONDS:
                bar.refresh()
                noted = time.monotonic()

        yield advance


@contextmanager
def _lines(done: int, total: int, unit: str, note: Callable[[], str]) -> Iterator[Callable[[int], None]]:
    start = told = time.monotonic()
    count = 0

    def advance(more: int) -> None:
        nonlocal count, told
        count += more
        now = time.monotonic()
        if now - told <= _LINE_SECONDS and not (more and done + count == total):
            return
        each = (now - start) / count if count else 0.0
        line = f"{done + count} of {total} {unit}s"
        print(", ".join(filter(None, (line, *_pace(each, total - done - count), note()))), file=sys.stderr, flush=True)
        told = now

    yield advance


def _pace(each: float, left: int) -> Iterator[str]:
    """each: seconds for an item, 0 where none is done yet. left: number of items."""
    if each:
        yield f"{each:.2g} s each"
    if each and left:
        yield f"about {each * left:.0f} s left" if each * left < 120 else f"about {each * left / 60:.0f} min left"
