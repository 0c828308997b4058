# SPDX-License-Identifier: Apache-2.0
"""What files and the environment tell of a machine. A file that can't be read counts as absent."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gar_ros.doctor.facts import System
from gar_ros.engine.available_memory import available_bytes

_PACKAGES = re.compile(r"nvidia-jetpack|nvidia-l4t-core|tensorrt|python3-libnvinfer|libnvinfer\d*|onnxruntime-gpu")
_VARIABLES = re.compile(r"ROS_\w+|RMW_\w+|AMENT_PREFIX_PATH|CYCLONEDDS_URI|FASTRTPS_\w+|FASTDDS_\w+|CUDA_\w+")
_DISPLAY, _NVIDIA = "0x03", "0x10de"
"""PCI's class of display controllers, as its first byte, and NVIDIA's number."""


def read_system(
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    prefixes: tuple[str, str] = (sys.prefix, sys.base_prefix),
) -> System:
    """root: where /etc, /proc and /sys are. environment: the process's own by default. prefixes: of this Python and of
    the one that its virtual environment was made from."""
    return System(
        arch=platform.machine(),
        python=platform.python_version(),
        name=_system_name(root),
        cpu=_after(root / "proc/cpuinfo", "model name"),
        container=any((root / name).exists() for name in (".dockerenv", "run/.containerenv")),
        nvidia_hardware=_has_nvidia_gpu(root),
        kernel_driver=_found(r"Kernel Module(?: for \S+)?\s+(\d[\d.]*)", _read(root / "proc/driver/nvidia/version")),
        board=_read(root / "proc/device-tree/model").strip("\0\n "),
        l4t=_l4t(_read(root / "etc/nv_tegra_release")),
        packages=dict(_debian_packages(root)),
        venv=prefixes[0] if prefixes[0] != prefixes[1] else "",
        sees_system_packages=prefixes[0] == prefixes[1] or _sees_system(Path(prefixes[0])),
        free_bytes=available_bytes(root),
        environment={
            name: value
            for name, value in sorted((os.environ if environment is None else environment).items())
            if _VARIABLES.fullmatch(name)
        },
    )


def _system_name(root: Path) -> str:
    return _found(r'^PRETTY_NAME="?([^"\n]*)', _read(root / "etc/os-release")) or platform.system()


def _l4t(text: str) -> str:
    """Of "# R36 (release), REVISION: 4.3, GCID: ..": 36.4.3."""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else ""


def _has_nvidia_gpu(root: Path) -> bool:
    try:
        devices = sorted((root / "sys/bus/pci/devices").iterdir())
    except OSError:
        devices = []
    return any(
        _read(device / "vendor").strip() == _NVIDIA and _read(device / "class").startswith(_DISPLAY)
        for device in devices
    )


def _debian_packages(root: Path) -> Iterator[tuple[str, str]]:
    """Installed ones that matter here, with their versions: what `dpkg-query` reads."""
    for entry in _read(root / "var/lib/dpkg/status").split("\n\n"):
        name = _found(r"^Package: (\S+)", entry)
        if _PACKAGES.fullmatch(name) and "\nStatus: install ok installed" in entry:
            yield name, _found(r"^Version: (\S+)", entry)


def _sees_system(venv: Path) -> bool:
    return _found(r"^include-system-site-packages\s*=\s*(\w+)", _read(venv / "pyvenv.cfg")).lower() == "true"


def _after(path: Path, name: str) -> str:
    return _found(rf"^{name}\s*:\s*(.*)", _read(path))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
