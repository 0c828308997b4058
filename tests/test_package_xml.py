# SPDX-License-Identifier: Apache-2.0
"""package.xml tells rosdep what the sources import."""

from __future__ import annotations

import ast
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.test_import_rules import imported_modules, imports_of

# What is imported -> the rosdep key where both differ.
KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "rosbags": "python3-rosbags-pip",
    "tf2_ros": "tf2_ros_py",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
# What rosdep has no key for -> its name in requirements/robot.in.
BY_PIP = {"msgspec": "msgspec", "similari": "similari-trackers-rs", "tokenizers": "tokenizers"}
# Libraries of ROS that are imported by name, where they are installed.
BY_NAME = {"bondpy", "cv_bridge", "sensor_msgs_py", "tf2_ros"}
# Imported for the type checker alone.
FOR_TYPES = {"typing_extensions"}
# Extras of pyproject.toml, which a user may add, and what the extra mcp brings.
EXTRAS = {"fsspec", "mcp", "mcp_types", "openvino", "pyarrow", "pydantic", "ray"}
NOT_IMPORTED = {"ros2launch", "rosidl_default_runtime"}
NOT_ON_ROBOTS = {"gar_export", "sim"}


@pytest.fixture
def package(checkout: Path) -> ET.Element:
    return ET.parse(checkout / "package.xml").getroot()  # noqa: S314 our own file


def texts(package: ET.Element, *tags: str) -> set[str]:
    return {element.text or "" for tag in tags for element in package.iter(tag)}


@pytest.fixture
def imported(checkout: Path) -> set[str]:
    """Packages beyond Python's and this one that a robot imports."""
    launch_files = [ast.parse(file.read_text()) for file in checkout.glob("launch/*.launch.py")]
    nodes = [node for launch in launch_files for node in ast.walk(launch)]
    names = {module.partition(".")[0] for node in nodes for module in imported_modules(node)}
    names |= {used.top for used in imports_of(checkout) if used.room not in NOT_ON_ROBOTS}
    return names - set(sys.stdlib_module_names) - {"gar_ros", "gar_export"} - FOR_TYPES - EXTRAS | BY_NAME


def test_everything_that_is_imported_is_declared(package: ET.Element, imported: set[str], checkout: Path) -> None:
    assert imported >= {"launch_ros", "rclpy", "sensor_msgs", "numpy", "tqdm"}
    by_pip = imported & set(BY_PIP)
    assert {KEYS.get(name, name) for name in imported - by_pip} <= texts(package, "depend", "exec_depend")
    installed = {line.split(";")[0].split("#")[0].strip() for line in (checkout / "requirements/robot.in").open()}
    assert {BY_PIP[name] for name in by_pip} <= installed


def test_every_ros_package_that_is_declared_is_used(package: ET.Element, imported: set[str], checkout: Path) -> None:
    interfaces = "".join(file.read_text() for kind in ("msg", "srv", "action") for file in checkout.glob(f"{kind}/*"))
    used = {KEYS.get(name, name) for name in imported} | NOT_IMPORTED
    declared = {name for name in texts(package, "depend", "exec_depend") if not name.startswith("python3-")}
    assert {name for name in declared - used if f"{name}/" not in interfaces} == set()


def test_the_package_says_whose_it_is(package: ET.Element) -> None:
    (maintainer,) = package.iter("maintainer")
    assert maintainer.text and "@" in maintainer.attrib["email"]
    assert all(text.startswith("https://") for text in texts(package, "url"))
    (license_,) = package.iter("license")
    assert license_.attrib["file"] == "LICENSE"
