# SPDX-License-Identifier: Apache-2.0
"""Bags from elsewhere, such as s3://bucket/drive: fsspec copies each to this machine while it is answered about."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gar_ros.bag.scratch import scratch_folder
from gar_ros.errors import ErrorCode, GarError, missing_package, reason_of


def is_url(source: str) -> bool:
    """Whether fsspec reads it; else it is a path of this machine."""
    return "://" in source


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it. Raises GarError INVALID_REQUEST naming the package that is
    missing."""
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise missing_package(f"'{url}'", "fsspec", "fsspec") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:  # "Install s3fs to access S3", "Protocol not known"
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{url}' can't be read: {reason_of(error)}") from error
    return system, path


@contextmanager
def at_hand(source: str) -> Iterator[Path]:
    """The bag as a path of this machine; what was copied is deleted when the context is left. Raises GarError
    INVALID_REQUEST, OSError."""
    if not is_url(source):
        yield Path(source)
        return
    system, remote = file_system(source)
    with scratch_folder() as scratch:
        local = scratch / (posixpath.basename(remote.rstrip("/")) or "bag")
        try:
            _copy(system, remote, local)
        except Exception as error:  # of any of the libraries that fsspec reads with
            raise GarError(ErrorCode.INVALID_REQUEST, f"'{source}' can't be read: {reason_of(error)}") from error
        yield local


def _copy(system: Any, remote: str, local: Path) -> None:
    """A file, or a folder's own files: bags have no folders in them."""
    if not system.isdir(remote):
        system.get_file(remote, str(local))
        return
    local.mkdir()
    for entry in system.ls(remote, detail=True):
        if entry["type"] == "file":
            system.get_file(entry["name"], str(local / posixpath.basename(entry["name"])))
