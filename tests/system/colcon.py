# SPDX-License-Identifier: Apache-2.0
"""colcon as the tests run it: beside the ROS that runs them, be that wheels in a venv or packages from apt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def colcon_program() -> str:
    """Path of colcon; the test is skipped where there is none."""
    program = shutil.which("colcon", path=_path())
    if program is None:
        pytest.skip("colcon is not installed (requirements/dev.lock, or apt: python3-colcon-common-extensions)")
    return program


def build_environment(home: Path) -> dict[str, str]:
    """On top of this process's: where colcon and CMake find ROS. home: for colcon's settings."""
    return {
        "AMENT_PREFIX_PATH": prepended(sys.prefix, "AMENT_PREFIX_PATH"),
        "CMAKE_PREFIX_PATH": prepended(sys.prefix, "CMAKE_PREFIX_PATH"),
        "COLCON_HOME": str(home),
        "PATH": _path(),
    }


def without_network() -> list[str]:
    """What a command begins with to run without any network, not even this machine's own; empty where the system
    doesn't permit that."""
    program = shutil.which("unshare")
    if program is None:
        return []
    prefix = [program, "--map-root-user", "--net"]
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


def prepended(folder: Path | str, variable: str) -> str:
    """The folder and the folders that the environment variable has now."""
    return f"{folder}:{os.environ.get(variable, '')}"


def _path() -> str:
    return prepended(Path(sys.prefix) / "bin", "PATH")
