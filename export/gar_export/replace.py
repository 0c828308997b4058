# SPDX-License-Identifier: Apache-2.0
"""A model folder appears at once, or takes the place of another, whatever interrupts the export.

It is written as `.NAME.PID.part` beside `NAME`. An older folder goes to `.NAME.PID.old` just before the new one takes
its name; a crash between these two renames is made good by the next export to `NAME`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from gar_ros.engine.model_dir.manifest import FORMAT, MANIFEST
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, read


class _AnyManifest(msgspec.Struct):
    """What manifests of every version have."""

    format: str
    files: dict[str, Any]


def part_of(out: Path) -> Path:
    """Where this process writes what becomes `out`."""
    return out.with_name(f".{out.name}.{os.getpid()}.part")


def check_replaceable(out: Path, kept: set[str]) -> None:
    """Refuses to replace anything but an empty folder or one that holds an exported model and no more than `kept`."""
    if not out.exists():
        return
    found = {path.name for path in out.iterdir()} - kept if out.is_dir() else {out.name}
    if out.is_dir() and found <= _exported_files(out):
        return
    raise GarError(
        ErrorCode.INVALID_REQUEST,
        f"expected --out to be a new folder or an exported model to replace, but {out} holds other files: "
        f"{', '.join(sorted(found - _exported_files(out))[:5])}",
    )


def replace(part: Path, out: Path) -> None:
    """Puts a complete folder in the place of `out`; what is no exported file there comes along."""
    old = part.with_suffix(".old")
    if out.exists():
        out.rename(old)
    _finish(part, old, out)


def clean_up(out: Path) -> None:
    """Finishes, or undoes, what exports to `out` that are no longer running left beside it."""
    for old in _left_over(out, ".old"):
        part = old.with_suffix(".part")
        if not out.exists() and (part / MANIFEST).is_file():
            _finish(part, old, out)
        elif not out.exists():
            old.rename(out)
        else:
            shutil.rmtree(old)
    for part in _left_over(out, ".part"):
        shutil.rmtree(part)


def _left_over(out: Path, suffix: str) -> list[Path]:
    """Folders of exports to `out` whose process is gone (another one that got its number counts as running)."""
    if not out.parent.is_dir():
        return []
    numbers = {path: path.name.removeprefix(f".{out.name}.").removesuffix(suffix) for path in out.parent.iterdir()}
    return [
        path
        for path, number in numbers.items()
        if path.name == f".{out.name}.{number}{suffix}" and number.isdigit() and not Path("/proc", number).exists()
    ]


def _finish(part: Path, old: Path, out: Path) -> None:
    if old.exists():
        exported = _exported_files(old)
        for path in old.iterdir():
            if path.name not in exported:
                path.rename(part / path.name)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _exported_files(folder: Path) -> set[str]:
    """The files that a folder's manifest, of whatever version, accounts for."""
    try:
        manifest = read((folder / MANIFEST).read_bytes(), _AnyManifest)
    except (OSError, JsonError):
        return set()
    return {MANIFEST, *manifest.files} if manifest.format == FORMAT else set()
