# SPDX-License-Identifier: Apache-2.0
"""Kernels that TensorRT for RTX compiles on this machine, kept for the next start in a file beside their engine."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from gar_ros.engine.runtime.failures import first_line
from gar_ros.files import write_atomically

_FORMAT = b"gar_ros-runtime-cache-1 "

_log = logging.getLogger(__name__)


def runtime_cache_path(engine: Path) -> Path:
    """Where the kernels of an engine are. The engine's name depends on all of its key, TensorRT's version included."""
    return engine.with_suffix(".kernels")


class RuntimeCache:
    """An IRuntimeCache and its file. Whatever is wrong with the file costs time and a line in the log, never an error.

    TensorRT itself refuses what was compiled for another GPU, driver or version; the file's SHA-256 finds damage.
    """

    def __init__(self, path: Path) -> None:
        """path: of the file, as `runtime_cache_path` tells it."""
        self._path = path
        self._cache: Any = None
        self._kept = b""  # what is in the file, without its head
        self._works = True

    def attach(self, config: Any) -> None:
        """Has contexts that are made with this IRuntimeConfig find their kernels in the cache, and put them there.

        CUDA must have been used in this thread: TensorRT compares its context with that of the file.
        """
        if not self._works:
            return
        try:
            if self._cache is None:
                self._cache = config.create_runtime_cache()
                self._load()
            config.set_runtime_cache(self._cache)
        except Exception as error:  # noqa: BLE001 whatever TensorRT raises
            self._give_up(f"can't be used: {first_line(error)}")

    def save(self) -> None:
        """Writes the file if there are other kernels than those that it has."""
        if not self._works or self._cache is None:
            return
        try:
            content = bytes(memoryview(self._cache.serialize()))
            if content != self._kept:
                write_atomically(self._path, _head(content) + content)
                self._kept = content
        except Exception as error:  # noqa: BLE001 OSError, and whatever TensorRT raises
            self._give_up(f"can't be written: {first_line(error)}")

    def _load(self) -> None:
        try:
            file = self._path.read_bytes()
        except FileNotFoundError:
            return
        head, _, content = file.partition(b"\n")
        if head + b"\n" != _head(content):
            reason = "is damaged"
        elif not self._cache.deserialize(content):
            reason = "is for another GPU, driver or version of TensorRT for RTX"
        else:
            self._kept = content
            return
        _log.warning("'%s' %s: its kernels are compiled again, and it is written again", self._path, reason)

    def _give_up(self, reason: str) -> None:
        self._works = False
        _log.warning("'%s' %s; kernels are compiled at each start", self._path, reason)


def _head(content: bytes) -> bytes:
    return _FORMAT + hashlib.sha256(content).hexdigest().encode() + b"\n"
