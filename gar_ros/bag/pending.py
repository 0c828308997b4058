# SPDX-License-Identifier: Apache-2.0
"""Messages that wait for those they belong to: in memory up to a limit, beyond it on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

IN_MEMORY = 256 << 20
"""Bytes."""


class Pending:
    """Messages by their numbers. Raises OSError where the disk takes no more."""

    def __init__(self, file: BinaryIO, limit: int = IN_MEMORY) -> None:
        """file: where messages beyond `limit` bytes go; it is emptied whenever none of them waits any more."""
        self._file, self._limit = file, limit
        self._bytes = 0
        self._kept: dict[int, bytes] = {}
        self._on_disk: dict[int, tuple[int, int]] = {}  # offset and length in the file

    def put(self, number: int, data: bytes) -> None:
        """Keeps a message until it is dropped."""
        if self._bytes + len(data) <= self._limit:
            self._kept[number] = data
            self._bytes += len(data)
            return
        self._on_disk[number] = (self._file.seek(0, 2), len(data))
        self._file.write(data)

    def get(self, number: int) -> bytes:
        """A message that is kept."""
        if number in self._kept:
            return self._kept[number]
        offset, length = self._on_disk[number]
        self._file.seek(offset)
        return self._file.read(length)

    def drop(self, number: int) -> None:
        """Forgets a message."""
        if number in self._kept:
            self._bytes -= len(self._kept.pop(number))
        elif self._on_disk.pop(number, None) is not None and not self._on_disk:
            self._file.truncate(0)


@contextmanager
def pending_in(folder: Path) -> Iterator[Pending]:
    """Its file is in this folder while the context lasts. Raises OSError."""
    with TemporaryFile(dir=folder) as file:
        yield Pending(cast(BinaryIO, file))
