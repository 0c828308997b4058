# SPDX-License-Identifier: Apache-2.0
"""pip build of gar_ros, for environments whose ROS 2 came from PyPI wheels: `pip install --no-build-isolation .`

Runs the package's own CMakeLists.txt and ships what that installs, so that pip and colcon install the same files. The
wheels of ROS lack the interface of /tf, which rviz needs: where no package brings it, it is built and shipped as well.
colcon never reads this file (package.xml says ament_cmake).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
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
        names = ["gar_ros", "gar_export"]
        self._build(SOURCE, BUILD, stage, f"-DGAR_PYTHON={sys.executable}")
        if not _others_bring("tf2_msgs"):
            names.append("tf2_msgs")
            self._build(SOURCE / "cmake" / "tf2_msgs", BUILD / "tf2_msgs", stage)

        for name in names:
            (package,) = stage.glob(f"lib/python*/site-packages/{name}")
            shutil.copytree(package, Path(self.build_lib) / name, ignore=shutil.ignore_patterns("__pycache__", "*.c"))
        self.distribution.data_files = _data_files(stage)

    def get_outputs(self) -> list[str]:
        """Nothing beyond what `run` has put into `build_lib`."""
        return []

    def _build(self, source: Path, build: Path, stage: Path, *options: str) -> None:
        """Configures, builds and installs one ament package into the stage."""
        self._cmake(
            f"-S{source}",
            f"-B{build}",
            f"-DCMAKE_INSTALL_PREFIX={stage}",
            f"-DCMAKE_PREFIX_PATH={PREFIX}",
            f"-DCMAKE_PROJECT_INCLUDE={SOURCE / 'cmake' / 'pip_wheels.cmake'}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DBUILD_TESTING=OFF",
            *options,
        )
        self._cmake("--build", str(build), "--parallel", str(os.cpu_count() or 1))
        self._cmake("--install", str(build))

    def _cmake(self, *arguments: str) -> None:
        prefixes = [str(PREFIX), *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
        subprocess.run(
            ["cmake", *arguments], check=True, env={**os.environ, "AMENT_PREFIX_PATH": os.pathsep.join(prefixes)}
        )


def _others_bring(package: str) -> bool:
    """Whether this environment has a ROS package that no earlier install of this one has put there."""
    try:
        own = metadata.files("gar_ros") or []
    except metadata.PackageNotFoundError:
        own = []
    return find_spec(package) is not None and not any(file.parts[0] == package for file in own)


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
