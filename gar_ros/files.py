# SPDX-License-Identifier: Apache-2.0
"""Where shipped and cached files are, and files that are written whole or not at all."""

from __future__ import annotations

import os
import pwd
import re
import sys
from pathlib import Path

PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Of picture files, as Pillow calls them. It knows many more; for one of them it would run another program."""

_UNFINISHED = re.compile(r"\..+\.(\w+)\.(\d{1,9})\.part")  # .name.PID.part: the name's ending, the writer's process


def shipped_paths(name: str) -> list[Path]:
    """Where `name` may be, best first: in a source checkout, else in the share folder of an ament or Python prefix."""
    folders = [Path(__file__).resolve().parents[1], *(prefix / "share" / "gar_ros" for prefix in install_prefixes())]
    return [folder / name for folder in folders]


def install_prefixes() -> list[Path]:
    """Where packages are installed, with a folder in `share` each: ament's prefixes, then Python's."""
    given = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(prefix) for prefix in (*filter(None, given), sys.prefix)]


def shipped(name: str) -> Path | None:
    """The file or folder `name` of the package, None where it isn't installed."""
    return next(filter(Path.exists, shipped_paths(name)), None)


def user_cache_folder() -> Path | None:
    """`gar_ros` in the user's cache folder (XDG base directories); None for a user who has no home folder.

    Paths that are not absolute don't count, as that standard says. Nothing is made, and it may be unwritable.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "gar_ros"
    home = os.environ.get("HOME", "")
    if not Path(home).is_absolute():
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:  # `docker run --user 1234`
            return None
    return Path(home) / ".cache" / "gar_ros" if Path(home).is_absolute() else None


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """The file appears, or is replaced, with all its bytes on disk. Raises OSError, leaving nothing behind."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, survives a power cut
    finally:
        os.close(folder)


def delete_unfinished(folder: Path, endings: set[str]) -> None:
    """Deletes what writers that were killed have left of files with these endings (without dot). Raises OSError."""
    for path in folder.iterdir():
        unfinished = _UNFINISHED.fullmatch(path.name)
        if unfinished and unfinished[1] in endings and not is_running(int(unfinished[2])):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number that has not ended, even if nobody has asked for its exit code yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # it has ended meanwhile, or another user's processes are hidden
        return True
    return stat.rpartition(") ")[2][:1] != "Z"
