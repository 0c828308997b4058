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
    while True:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name, _opened(name) as folder:
            with suppress(OSError):  # a file system without locks: then nobody can take this folder for an orphan
                fcntl.flock(folder, fcntl.LOCK_EX)
            if Path(name).is_dir():  # not deleted by another process before it was locked
                yield Path(name)
                return


def _delete_orphans() -> None:
    """Deletes this user's folders that no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _opened(path) as folder:  # another user's, or locked by a process that uses it
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _opened(path: Path | str) -> Iterator[int]:
    """A file descriptor of a folder, not of a link to one. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
