# SPDX-License-Identifier: Apache-2.0
"""Which large files were found whole before, so that a robot does not hash gigabytes at every start.

A record says: the file at this path, with this inode, size, modification and change time, has this SHA-256. It is taken
while the file is hashed and holds as long as all of that stays. Writing to a file, replacing it and copying it (with
`cp -p` or rsync too) change its change time or inode, which no tool sets, so every changed or new file is hashed again;
what is not seen any more is a disk that corrupts a file behind the file system's back after it was hashed. Whoever can
write to the user's cache folder can forge a record; such a process is the user, and could change this program as well.
Records live in the user's cache folder, not beside the model: model folders may be read-only, and a copied folder
brings none along. A file is hashed in full where there is no such folder, or a record can't be read or written.
Deleting `~/.cache/gar_ros/verified` has everything hashed again.
"""

from __future__ import annotations

import hashlib
import logging
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


def verified_sha256(path: Path, expected: str) -> str:
    """Hexadecimal SHA-256 of a file: `expected` where its record says so and holds, else of its present content.

    A record can only spare the hashing of a good file: one that is damaged itself never makes a file a bad one.
    Raises OSError.
    """
    path = path.resolve()
    if path.stat().st_size < RECORDED_BYTES:
        return sha256_of(path)
    state = _state(path)
    record = _record(path)
    if _read(record) == _Record(state, expected):
        return expected
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


def _record(path: Path) -> Path | None:
    """Where the record of a file is; None for a user without a cache folder."""
    cache = user_cache_folder()
    name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache / "verified" / f"{name}.json" if cache else None


def _read(record: Path | None) -> _Record | None:
    try:
        return read(record.read_bytes(), _Record) if record and record.is_file() else None
    except (OSError, JsonError):
        return None


def _write(record: Path | None, content: _Record) -> None:
    """Where that fails (a read-only home, a full disk) the file is hashed again next time."""
    if record is None:
        return
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, msgspec.json.encode(content))
    except (OSError, UnicodeEncodeError) as error:  # the latter: a path that is no Unicode
        _log.info(
            "'%s' is hashed again at the next start, since its record can't be kept: %s", content.state.path, error
        )
