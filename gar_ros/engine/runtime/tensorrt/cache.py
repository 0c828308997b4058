# SPDX-License-Identifier: Apache-2.0
"""Engines on disk: each found again by everything that it was built from, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gar_ros.engine.model_dir.hash_cache import verified_sha256
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import delete_unfinished, user_cache_folder, write_atomically
from gar_ros.json_reader import JsonError, read


@dataclass(frozen=True)
class EngineKey:
    """What an engine depends on. Another value of any field is another engine."""

    graph: str  # file name
    graph_sha256: str  # of the graph with its external weights
    builder: str  # "tensorrt 10.3.0"
    gpu: str  # "NVIDIA Orin, SM87, 16 multiprocessors, 64 GiB"; of TensorRT for RTX "SM86"
    precision: str  # of weights, inputs and cache, "float16"
    profiles: str  # all shapes, as text

    @property
    def file_name(self) -> str:
        """Readable, and different for different keys."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()
        words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.graph.removesuffix('.onnx')} {self.gpu}").strip("-")
        return f"{words}-{digest[:16]}.engine"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside an engine."""

    format: Literal["gar_ros-engine-1"] = "gar_ros-engine-1"
    key: EngineKey
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Found:
    """A usable engine, or why there is none."""

    path: Path | None
    reason: str


class EngineCache:
    """A folder of engines, each with a .json of the same name that holds its key, size and SHA-256.

    The .json is written last: an engine without it was never finished.
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises GarError INVALID_REQUEST for a folder below the home of a user who has none."""
        try:
            self.folder = Path(folder).expanduser()
        except RuntimeError as error:
            raise _unwritable(Path(folder), str(error)) from error

    def find(self, key: EngineKey) -> Found:
        """The engine of this key, checked as the model's files are; else the reason: none built, or what is damaged."""
        path = self.folder / key.file_name
        try:
            if not path.exists() and not _record_path(path).exists():
                return Found(
                    None,
                    f"no engine of {key.graph} for {key.builder} on {key.gpu} in '{self.folder}'{self._similar(key)}",
                )
            record = read(_record_path(path).read_bytes(), _Record)
            if record.key != key:
                return Found(None, f"'{_record_path(path)}' is not the record of this engine")
            size = path.stat().st_size
            if size != record.bytes:
                return Found(None, f"'{path}' is damaged: expected {record.bytes} bytes, got {size}")
            if verified_sha256(path, record.sha256) != record.sha256:
                return Found(None, f"'{path}' is damaged: its SHA-256 is not the one of its record")
        except JsonError as error:
            return Found(None, f"'{_record_path(path)}' is not the record of an engine: {error}")
        except OSError as error:
            return Found(None, f"'{path}' can't be read: {error}")
        return Found(path, "")

    def _similar(self, key: EngineKey) -> str:
        """Why the newest engine of the same graph doesn't serve: what of it is another; empty where there is none."""
        records = []
        for path in sorted(self.folder.glob("*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            with suppress(OSError, JsonError):
                records.append((path, read(path.read_bytes(), _Record).key))
        for path, other in records:
            if (other.graph, other.graph_sha256) == (key.graph, key.graph_sha256):
                wanted, there = dataclasses.asdict(key), dataclasses.asdict(other)
                odd = [name for name in wanted if wanted[name] != there[name]]
                return f"; '{path.with_suffix('.engine').name}' is for another {' and '.join(odd) or 'gar_ros'}"
        return ""

    def store(self, key: EngineKey, engine: bytes | memoryview) -> Path:
        """Writes engine and record so that a reader finds either both or neither. Raises GarError INVALID_REQUEST."""
        path = self.folder / key.file_name
        view = memoryview(engine)
        record = _Record(key=key, bytes=view.nbytes, sha256=hashlib.sha256(view).hexdigest())
        try:
            _record_path(path).unlink(missing_ok=True)
            write_atomically(path, view)
            write_atomically(_record_path(path), msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        except OSError as error:
            raise _unwritable(self.folder, str(error)) from error
        return path

    def prepare(self, wanted_bytes: int) -> None:
        """Makes the folder and sees that it can be written and holds `wanted_bytes` more: before an engine is built for
        minutes. What builds that were killed have left is deleted. Raises GarError INVALID_REQUEST."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            delete_unfinished(self.folder, {"engine", "json", "kernels"})
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"\0")
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise _unwritable(self.folder, str(error)) from error
        if free < wanted_bytes:
            expected, there = wanted_bytes / 1e6, free / 1e6
            raise _unwritable(self.folder, f"about {expected:.0f} MB are needed and {there:.0f} MB are free")


def default_cache_folder() -> Path:
    """`gar_ros/engines` in the user's cache folder: models may be read-only, are moved and exported again, and their
    engines are of this machine alone. Raises GarError INVALID_REQUEST for a user without a home."""
    cache = user_cache_folder()
    if cache is None:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            "expected a folder for engines, but this user has no home folder: set HOME or XDG_CACHE_HOME, or name a "
            "folder with parameter runtime.engines (--engines, --cache)",
        )
    return cache / "engines"


def _record_path(engine: Path) -> Path:
    return engine.with_suffix(".json")


def _unwritable(folder: Path, reason: str) -> GarError:
    return GarError(
        ErrorCode.INVALID_REQUEST,
        f"expected a folder for engines that can be written and has room, but '{folder}': {reason}; choose another one",
    )
