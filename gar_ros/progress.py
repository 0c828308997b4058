"""How far a run is, on stderr: a bar on a terminal, now and then a line where the output is kept."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_LINE_SECONDS = 20.0


def progress(items: Iterable[T], done: int, total: int) -> Iterator[T]:
    """The items, while it shows how many of `total` are done; `done` of them were before."""
    return _bar(items, done, total) if sys.stderr.isatty() else _lines(items, done, total)


def _bar(items: Iterable[T], done: int, total: int) -> Iterator[T]:
    from tqdm import tqdm

    # The sizes are given because tqdm shows nothing on a terminal that says it has none, such as a container's.
    columns, lines = shutil.get_terminal_size()
    sizes = {"ncols": min((columns or 80) - 1, 100), "nrows": lines or 24}
    with tqdm(items, initial=done, total=total, unit="item", **sizes) as bar:
        yield from bar


def _lines(items: Iterable[T], done: int, total: int) -> Iterator[T]:
    start = told = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told > _LINE_SECONDS or done + count == total:
            each = (now - start) / count
            print(f"{done + count} of {total} items, {each:.2g} s each", file=sys.stderr, flush=True)
            told = now
