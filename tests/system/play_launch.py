# SPDX-License-Identifier: Apache-2.0
"""Starts launch files for real without an apt ROS: PyPI's play-launch, with what it needs from elsewhere stubbed.

Its program is linked to libpython3.10 (any other version serves), to libz3, and to the composition interfaces, which
have no wheel and are only called for component containers.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.processes import ChildProcess, StartProcess

_SERVICES = ("ListNodes", "LoadNode", "UnloadNode")
_MESSAGES = ("ListNodes_Request", "ListNodes_Response", "LoadNode_Response", "UnloadNode_Response")
_TYPE_SUPPORT = "rosidl_typesupport_c__get_service_type_support_handle__composition_interfaces__srv__"


class PlayLaunch:
    """`play_launch launch` in an environment that it can live in."""

    def __init__(self, folder: Path, start_process: StartProcess) -> None:
        """Skips the test where a needed piece is not installed."""
        program = Path(sys.prefix) / "bin/play_launch"
        if not program.is_file():
            pytest.skip("play-launch is not installed (requirements/dev.lock)")
        try:
            ctypes.CDLL("libz3.so.4")
        except OSError:
            pytest.skip("play-launch needs libz3.so.4 (apt: libz3-4)")
        self._program = program
        self._start_process = start_process
        self._logs = folder / "play_log"
        libraries = folder / "libraries"
        libraries.mkdir()
        (libraries / "libpython3.10.so.1.0").symlink_to(_libpython())
        _build_stubs(libraries)
        self._environment = {
            "AMENT_PREFIX_PATH": sys.prefix,
            "LD_LIBRARY_PATH": os.pathsep.join([str(libraries), os.environ.get("LD_LIBRARY_PATH", "")]),
            "PYTHONPATH": sysconfig.get_path("purelib"),
        }

    def launch(self, package: str, file: str, **arguments: str) -> ChildProcess:
        """Like `ros2 launch PACKAGE FILE name:=value ...`."""
        return self._start_process(
            self._program,
            "launch",
            "--disable-all",
            "--on-startup-failure=exit",
            f"--log-dir={self._logs}",
            package,
            file,
            *(f"{name}:={value}" for name, value in arguments.items()),
            env=self._environment,
        )

    def node_log(self, node: str) -> str:
        """What the node has printed so far, which play-launch keeps to itself."""
        files = (self._logs / "latest/node" / node / stream for stream in ("out", "err"))
        return "".join(file.read_text(errors="replace") for file in files if file.is_file())


def _libpython() -> Path:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    for library in (Path(folder) / name, Path(folder) / multiarch / name):
        if library.is_file() and ".so" in name:
            return library
    pytest.skip(f"play-launch needs a shared libpython; this Python has none in {folder} (apt: python3-dev)")


def _build_stubs(folder: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("play-launch needs stubs of libcomposition_interfaces, and there is no C compiler")
    functions = [f"_Bool composition_interfaces__srv__{message}__init(void *m)" for message in _MESSAGES]
    functions += [f"const void *{_TYPE_SUPPORT}{service}(void)" for service in _SERVICES]
    source = folder / "stubs.c"
    source.write_text("".join(f"{function} {{ return 0; }}\n" for function in functions))
    for library in ("generator_c", "typesupport_c"):
        output = folder / f"libcomposition_interfaces__rosidl_{library}.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", output, source], check=True)
