# SPDX-License-Identifier: Apache-2.0
"""Temporary folders for whole bags, which a process that is killed doesn't leave for good."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "gar_ros-bag-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder among the machine's temporary files, deleted when the context is left.

    What killed processes left is deleted first: each process holds a lock on its folder, which the kernel lets go of
    whatever the process dies of. Raises OSError.
    """
    _delete_orphans()
    folder, descriptor = _locked()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked() -> tuple[Path, int]:
    """A new folder, and the file descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):  # before it is locked, another process may take it for an orphan
            descriptor = _opened(folder)
            with suppress(OSError):  # a file system without locks: nobody can lock it, so nobody deletes it
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, descriptor
            os.close(descriptor)


def _delete_orphans() -> None:
    """Deletes this user's folders that no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or locked by a process that uses it
            descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _opened(folder: Path) -> int:
    """A file descriptor of a folder, not of a link to one. Raises OSError."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
