# SPDX-License-Identifier: Apache-2.0
"""What a run has answered so far: one line of JSON each, appended, so that an interrupted run continues.

The first line holds the settings; only a run with the same settings may continue.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, read

Record = dict[str, Any]


class Journal:
    """The file `<out>.jsonl`, open and locked for one process; use it as a context manager."""

    def __init__(self, path: Path, settings: Record) -> None:
        """Reads what is there, without a last line that was cut off by a kill.

        Raises GarError INVALID_REQUEST for a file of other settings, a damaged one or one that another process writes.
        """
        self.path = path
        self.records: dict[str, Record] = {}
        """By key, in the order of their answers."""
        self._settings = settings
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise _bad(path, f"can't be written: {error.strerror}") from error
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, key: str, record: Record) -> None:
        """Appends a record; it survives the process from here on. Raises GarError INVALID_REQUEST on a full disk."""
        header = [] if self.records else [{"settings": self._settings}]
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in [*header, {"key": key, **record}])
        try:
            self._file.write(text.encode())
            self._file.flush()
        except OSError as error:
            raise _bad(self.path, f"can't be written: {error.strerror}") from error
        self.records[key] = record

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _bad(self.path, "another process is writing to it") from error

    def _read(self) -> None:
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        cut_off = lines.pop()
        entries = [self._parsed(number, line) for number, line in enumerate(lines, 1)]
        if entries:
            self._check_settings(entries[0].get("settings"), len(entries) > 1)
        for number, entry in enumerate(entries[1:], 2):
            key = entry.pop("key", None)
            if not isinstance(key, str) or key in self.records:
                raise _bad(self.path, f"line {number} is damaged: expected a new 'key', got {key!r}")
            self.records[key] = entry
        end = self._file.seek(0, os.SEEK_END)
        whole = end - len(cut_off) if self.records else 0
        if whole < end:
            self._file.truncate(whole)

    def _parsed(self, number: int, line: bytes) -> Record:
        try:  # an object of any fields: they are the benchmark's own
            return read(line, dict[str, Any])
        except JsonError as error:
            raise _bad(self.path, f"line {number} is damaged: {error}") from error

    def _check_settings(self, begun: Any, has_records: bool) -> None:
        if not isinstance(begun, dict):
            raise _bad(self.path, "line 1 is damaged: expected the settings of a run")
        differing = [
            f"{name} was {begun.get(name)!r}, now {self._settings.get(name)!r}"
            for name in {**begun, **self._settings}
            if begun.get(name) != self._settings.get(name)
        ]
        if differing and has_records:
            raise _bad(
                self.path,
                f"was begun with other settings ({'; '.join(differing)}): use them, delete the file, or choose "
                "another --out",
            )


def _bad(path: Path, message: str) -> GarError:
    return GarError(ErrorCode.INVALID_REQUEST, f"'{path}': {message}")
