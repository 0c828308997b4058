# SPDX-License-Identifier: Apache-2.0
"""Which large files were found whole before, so that a robot does not hash gigabytes at every start.

A record says: the file at this path, with this inode, size, modification and change time, has this SHA-256. It is taken
while the file is hashed and holds as long as all of that stays. Writing to a file, replacing it and copying it (with
`cp -p` or rsync too) change its change time or inode, which no tool sets, so every changed or new file is hashed again;
what is not seen any more is a disk that corrupts a file behind the file system's back after it was hashed. Records live
in the user's cache folder, not beside the model: model folders may be read-only, and a copied folder brings none along.
Deleting `~/.cache/gar_ros/verified` has everything hashed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import msgspec

from gar_ros.files import user_cache_folder, write_atomically
from gar_ros.json_reader import JsonError, read

RECORDED_BYTES = 64 << 20
"""Smaller files are hashed every time: that takes a fraction of a second."""

_log = logging.getLogger(__name__)


class _State(msgspec.Struct, frozen=True):
    """What changes when a file does."""

    path: str
    bytes: int
    device: int
    inode: int
    modified_ns: int
    changed_ns: int


class _Record(msgspec.Struct, frozen=True):
    """A file that was hashed while it was in this state."""

    state: _State
    sha256: str


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, from its record where that holds."""
    path = path.resolve()
    if path.stat().st_size < RECORDED_BYTES:
        return sha256_of(path)
    state = _state(path)
    record = _record(path)
    known = _read(record)
    if known is not None and known.state == state:
        return known.sha256
    digest = sha256_of(path)
    if _state(path) == state:  # else it is being written
        _write(record, _Record(state, digest))
    return digest


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _state(path: Path) -> _State:
    found = path.stat()
    return _State(str(path), found.st_size, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def _record(path: Path) -> Path:
    """Where the record of a file is; for a user without a home a place where nothing can be."""
    try:
        cache = user_cache_folder()
    except RuntimeError:
        cache = Path(os.devnull)
    return cache / "verified" / (hashlib.sha256(str(path).encode()).hexdigest()[:32] + ".json")


def _read(record: Path) -> _Record | None:
    try:
        return read(record.read_bytes(), _Record)
    except (OSError, JsonError):
        return None


def _write(record: Path, content: _Record) -> None:
    """Where that fails (a read-only home) the file is hashed again next time."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, msgspec.json.encode(content))
    except OSError as error:
        _log.debug("no record in '%s': %s", record.parent, error)
