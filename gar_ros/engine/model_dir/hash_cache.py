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
import json
import logging
import os
from pathlib import Path

from gar_ros.files import user_cache_folder, write_atomically

RECORDED_BYTES = 64 << 20
"""Smaller files are hashed every time: that takes a fraction of a second."""

_log = logging.getLogger(__name__)


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, from its record where that holds."""
    path = path.resolve()
    if path.stat().st_size < RECORDED_BYTES:
        return sha256_of(path)
    state = _state(path)
    record = _record(path)
    known = _read(record)
    digest = known.pop("sha256", None)
    if isinstance(digest, str) and known == state:
        return digest
    digest = sha256_of(path)
    if _state(path) == state:  # else it is being written
        _write(record, {**state, "sha256": digest})
    return digest


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _state(path: Path) -> dict[str, str | int]:
    """What changes when a file does."""
    found = path.stat()
    return {
        "path": str(path),
        "bytes": found.st_size,
        "device": found.st_dev,
        "inode": found.st_ino,
        "modified_ns": found.st_mtime_ns,
        "changed_ns": found.st_ctime_ns,
    }


def _record(path: Path) -> Path:
    """Where the record of a file is; for a user without a home a place where nothing can be."""
    try:
        cache = user_cache_folder()
    except RuntimeError:
        cache = Path(os.devnull)
    return cache / "verified" / (hashlib.sha256(str(path).encode()).hexdigest()[:32] + ".json")


def _read(record: Path) -> dict[str, str | int]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(record: Path, state: dict[str, str | int]) -> None:
    """Where that fails (a read-only home) the file is hashed again next time."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps(state).encode())
    except OSError as error:
        _log.debug("no record in '%s': %s", record.parent, error)
