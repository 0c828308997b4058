# SPDX-License-Identifier: Apache-2.0
"""pip build of gar_ros, for environments whose ROS 2 came from PyPI wheels: `pip install --no-build-isolation .`

Runs the package's own CMakeLists.txt and ships what that installs, so that pip and colcon install the same files.
colcon never reads this file (package.xml says ament_cmake).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path(__file__).resolve().parent
PREFIX = Path(sys.prefix)
# One build tree for each environment, kept between installs: only what changed is built again.
BUILD = SOURCE / "build" / f"{sys.implementation.cache_tag}-{hashlib.sha256(str(PREFIX).encode()).hexdigest()[:8]}"
WHEEL = BUILD / "wheel"


class CMakeBuild(build_ext):
    """Builds the ament package into a stage and hands the staged files to the wheel."""

    def run(self) -> None:
        """Fills `build_lib` with the Python package and `data_files` with everything beside it."""
        stage = BUILD / "stage"
        for leftover in (stage, WHEEL):  # of an earlier or an interrupted build
            shutil.rmtree(leftover, ignore_errors=True)
        self._cmake(
            f"-S{SOURCE}",
            f"-B{BUILD}",
            f"-DCMAKE_INSTALL_PREFIX={stage}",
            f"-DCMAKE_PREFIX_PATH={PREFIX}",
            f"-DCMAKE_PROJECT_INCLUDE={SOURCE / 'cmake' / 'pip_wheels.cmake'}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            f"-DGAR_PYTHON={sys.executable}",
            "-DBUILD_TESTING=OFF",
        )
        self._cmake("--build", str(BUILD), "--parallel", str(os.cpu_count() or 1))
        self._cmake("--install", str(BUILD))

        for name in ("gar_ros", "gar_export"):
            (package,) = stage.glob(f"lib/python*/site-packages/{name}")
            shutil.copytree(package, Path(self.build_lib) / name, ignore=shutil.ignore_patterns("__pycache__", "*.c"))
        self.distribution.data_files = _data_files(stage)

    def get_outputs(self) -> list[str]:
        """Nothing beyond what `run` has put into `build_lib`."""
        return []

    def _cmake(self, *arguments: str) -> None:
        prefixes = [str(PREFIX), *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
        subprocess.run(
            ["cmake", *arguments], check=True, env={**os.environ, "AMENT_PREFIX_PATH": os.pathsep.join(prefixes)}
        )


def _data_files(stage: Path) -> list[tuple[str, list[str]]]:
    """Staged libraries, executables and shares as (folder below the environment, files), headers left out."""
    folders: dict[str, list[str]] = {}
    for file in filter(Path.is_file, sorted(stage.rglob("*"))):
        folder = file.relative_to(stage).parent
        if folder.parts[0] in ("lib", "share") and "site-packages" not in folder.parts:
            folders.setdefault(str(folder), []).append(os.path.relpath(file, SOURCE))
    return sorted(folders.items())


(version,) = re.findall("<version>(.+)</version>", (SOURCE / "package.xml").read_text())
setup(
    version=version,
    ext_modules=[Extension("gar_ros._interfaces", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    options={"build": {"build_base": str(WHEEL)}},
)
