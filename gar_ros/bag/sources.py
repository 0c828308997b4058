# SPDX-License-Identifier: Apache-2.0
"""Which storage files a bag has, as metadata.yaml says or without it; compressed ones are unpacked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePath
from typing import NamedTuple

from gar_ros.bag.libraries import yaml, zstd
from gar_ros.errors import ErrorCode, GarError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MCAP_MAGIC = b"\x89MCAP0\r\n"
_SUFFIXES = {MCAP_MAGIC: ".mcap", b"SQLite format 3\x00": ".db3"}
_STORAGES = ("mcap", "sqlite3")


def bad_bag(path: Path, why: object) -> GarError:
    """The error for a path that is no bag, or none that can be read."""
    return GarError(ErrorCode.INVALID_REQUEST, f"expected a rosbag2 bag, got '{path}': {why}")


class StorageFile(NamedTuple):
    """One file of a bag. path: as the user knows it. readable: unpacked, under a name that rosbags takes."""

    path: Path
    readable: Path

    @property
    def is_mcap(self) -> bool:
        """Whether it is MCAP, else it is SQLite."""
        return self.readable.suffix == ".mcap"


def storage_files(path: Path, scratch: Path) -> list[StorageFile]:
    """The MCAP or SQLite files of a bag in their order. scratch: an empty folder for unpacked files and for links.

    Raises GarError INVALID_REQUEST for what is no bag, OSError for what may not be read.
    """
    if not path.exists():
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected a rosbag2 bag, got '{path}', which does not exist")
    if not path.is_dir():
        return [_readable(path, scratch)]
    named = _named_in_metadata(path)
    if named is None:
        named = sorted((file for file in path.iterdir() if is_storage(file.name)), key=_numbers_by_value)
        if not named:
            raise bad_bag(path, "the folder has no metadata.yaml, and no .mcap or .db3 file either")
    return [_readable(file, scratch) for file in named]


def _named_in_metadata(folder: Path) -> list[Path] | None:
    """The files that metadata.yaml lists; None without metadata.yaml."""
    file = folder / "metadata.yaml"
    if not file.exists():
        return None
    advice = "mend it with `ros2 bag reindex`, or remove it to have all files of the folder read"
    try:
        about = yaml.YAML(typ="safe").load(file.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        names = [PurePath(name).name for name in about["relative_file_paths"]]
        storage, packing = str(about["storage_identifier"]), about.get("compression_format") or "zstd"
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise bad_bag(folder, f"metadata.yaml can't be read ({type(error).__name__}: {text}); {advice}") from error
    if storage not in _STORAGES:
        raise bad_bag(folder, f"expected storage {' or '.join(_STORAGES)}, metadata.yaml names '{storage}'")
    if packing != "zstd":
        raise bad_bag(folder, f"expected compression zstd, metadata.yaml names '{packing}'")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise bad_bag(folder, f"metadata.yaml names {', '.join(missing)}, which the folder lacks; {advice}")
    if not names:
        raise bad_bag(folder, f"metadata.yaml names no files; {advice}")
    return [folder / name for name in names]


def is_storage(name: str) -> bool:
    """Whether a file of this name holds a bag's messages."""
    return name.removesuffix(".zstd").endswith((".mcap", ".db3"))


def without_suffix(name: str) -> str:
    """The name of a bag's file without what says how it is stored."""
    return name.removesuffix(".zstd").removesuffix(".mcap").removesuffix(".db3") if is_storage(name) else name


def _numbers_by_value(file: Path) -> list[tuple[int, str]]:
    """Sorts drive_10.mcap after drive_9.mcap."""
    parts = re.split(r"(\d+)", file.name)
    return [(int(part) if part.isdigit() else 0, part) for part in parts]


def _readable(file: Path, scratch: Path) -> StorageFile:
    if not file.is_file():
        raise bad_bag(file, "this is neither a file nor a folder")
    readable = file
    if _start(file).startswith(ZSTD_MAGIC):
        readable = scratch / f"{len(list(scratch.iterdir()))}.unpacked"
        try:
            with zstd.open(file, "rb") as packed, readable.open("wb") as out:
                shutil.copyfileobj(packed, out)
        except (zstd.ZstdError, EOFError) as error:
            raise bad_bag(file, f"it can't be unpacked ({error})") from error
    start = _start(readable)
    suffix = next((suffix for magic, suffix in _SUFFIXES.items() if start.startswith(magic)), "")
    if not suffix:
        raise bad_bag(file, _what_else(start))
    if suffix != readable.suffix or set("?#%") & set(str(readable)):  # these mean something else in SQLite's URIs
        link = scratch / f"{len(list(scratch.iterdir()))}{suffix}"
        link.symlink_to(readable.resolve())
        readable = link
    return StorageFile(file, readable)


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(16)


def _what_else(start: bytes) -> str:
    if not start:
        return "the file is empty"
    if start.startswith(b"#ROSBAG"):
        return "this is a bag of ROS 1; convert it with `rosbags-convert`"
    return "the file begins neither as MCAP nor as SQLite"
