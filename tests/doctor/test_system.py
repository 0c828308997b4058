# SPDX-License-Identifier: Apache-2.0
"""What is read from files, as a Jetson and a desktop have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gar_ros.doctor.system import read_system

TEGRA = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025"
)
STATUS = """Package: nvidia-jetpack
Status: install ok installed
Architecture: arm64
Version: 6.2+b77

Package: python3-libnvinfer
Status: deinstall ok config-files
Version: 10.3.0.30-1+cuda12.5

Package: bash
Status: install ok installed
Version: 5.2

Package: libnvinfer10
Status: install ok installed
Version: 10.3.0.30-1+cuda12.5
"""
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)  Sun Jul 27\n"


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_a_jetson(tmp_path: Path) -> None:
    write(tmp_path, "etc/nv_tegra_release", TEGRA)
    write(tmp_path, "var/lib/dpkg/status", STATUS)
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    write(tmp_path, "proc/meminfo", "MemTotal: 64000 kB\nMemAvailable: 2000 kB\n")
    write(tmp_path, "etc/os-release", 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n')
    found = read_system(tmp_path)
    assert (found.l4t, found.jetpack, found.jetson) == ("36.4.3", "6.2+b77", True)
    assert found.packages == {"nvidia-jetpack": "6.2+b77", "libnvinfer10": "10.3.0.30-1+cuda12.5"}
    assert (found.name, found.board) == ("Ubuntu 22.04.5 LTS", "NVIDIA Jetson AGX Orin Developer Kit")
    assert found.free_bytes == 2000 * 1024
    assert not found.container


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "550.54.14"), (OPEN, "580.65.06")])
def test_the_kernel_module(tmp_path: Path, text: str, version: str) -> None:
    write(tmp_path, "proc/driver/nvidia/version", text)
    assert read_system(tmp_path).kernel_driver == version


@pytest.mark.parametrize(
    ("vendor", "kind", "seen"),
    [
        ("0x10de", "0x030000", True),
        ("0x10de", "0x030200", True),
        ("0x10de", "0x040300", False),
        ("0x8086", "0x030000", False),
    ],
)
def test_a_gpu_is_a_display_controller_of_nvidias(tmp_path: Path, vendor: str, kind: str, seen: bool) -> None:
    """Its sound device is none."""
    write(tmp_path, "sys/bus/pci/devices/0000:01:00.0/vendor", f"{vendor}\n")
    write(tmp_path, "sys/bus/pci/devices/0000:01:00.0/class", f"{kind}\n")
    assert read_system(tmp_path).nvidia_hardware is seen


def test_nothing_is_there_and_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "etc/nv_tegra_release").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_bytes(b"\xff\xfe\0 no text")
    found = read_system(tmp_path, environment={})
    assert not (found.jetson or found.nvidia_hardware or found.container)
    assert (found.l4t, found.kernel_driver, found.packages, found.environment) == ("", "", {}, {})


def test_a_container(tmp_path: Path) -> None:
    write(tmp_path, "run/.containerenv", "")
    assert read_system(tmp_path).container


def test_only_what_concerns_ros_and_cuda_is_taken_from_the_environment(tmp_path: Path) -> None:
    given = {
        "ROS_DISTRO": "jazzy",
        "RMW_IMPLEMENTATION": "rmw_zenoh_cpp",
        "CUDA_VISIBLE_DEVICES": "",
        "TOKEN": "secret",
    }
    assert set(read_system(tmp_path, given).environment) == {"ROS_DISTRO", "RMW_IMPLEMENTATION", "CUDA_VISIBLE_DEVICES"}


@pytest.mark.parametrize(("line", "sees"), [("include-system-site-packages = true", True), ("home = /usr/bin", False)])
def test_a_virtual_environment(tmp_path: Path, line: str, sees: bool) -> None:
    write(tmp_path, "venv/pyvenv.cfg", f"{line}\n")
    found = read_system(tmp_path, prefixes=(str(tmp_path / "venv"), "/usr"))
    assert (found.venv, found.sees_system_packages) == (str(tmp_path / "venv"), sees)
    assert read_system(tmp_path, prefixes=("/usr", "/usr")).sees_system_packages
