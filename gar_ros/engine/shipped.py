"""Where the files are that come with the package: models, config, rviz."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def shipped_paths(name: str) -> list[Path]:
    """Where `name` may be, best first: in a source checkout, else in the share folder of an ament or Python prefix."""
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    folders = [Path(__file__).resolve().parents[2], *(Path(prefix) / "share" / "gar_ros" for prefix in prefixes)]
    return [folder / name for folder in folders]
