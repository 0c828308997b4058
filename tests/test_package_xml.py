# SPDX-License-Identifier: Apache-2.0
"""package.xml tells rosdep what the sources import, and bloom what apt has of it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from catkin_pkg.package import parse_package

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
# What rosdep has lists for.
UBUNTU = {"humble": "jammy", "jazzy": "noble"}
ROSDEP_ANSWER = r"#ROSDEP\[(\S+)\]\n#(\w+)\n(.*)\n"


@pytest.fixture
def package(checkout: Path) -> ET.Element:
    return ET.parse(checkout / "package.xml").getroot()  # noqa: S314 our own file


@pytest.fixture
def resolved(checkout: Path) -> dict[str, dict[str, str]]:
    """What each key is on each distribution of ROS, as installer and package; see the file's own first lines."""
    keys: dict[str, dict[str, str]] = yaml.safe_load((checkout / "tests/rosdep_keys.yaml").read_text())
    return keys


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


def all_keys(package: ET.Element) -> set[str]:
    tags = {element.tag for element in package if element.tag.endswith("depend")}
    return texts(package, *tags)


def test_rosdep_knows_every_key(package: ET.Element, resolved: dict[str, dict[str, str]]) -> None:
    assert set(resolved) == all_keys(package)
    for key, packages in resolved.items():
        assert set(packages) == set(UBUNTU), key
        assert {package.split()[0] for package in packages.values()} <= {"apt", "pip"}, key


def test_what_is_not_in_apt_is_asked_for(package: ET.Element, resolved: dict[str, dict[str, str]]) -> None:
    by_pip = {key for key, packages in resolved.items() if any(found.startswith("pip ") for found in packages.values())}
    assert by_pip == {key for key in all_keys(package) if key.endswith("-pip")} != set()
    conditions = {element.text: element.attrib.get("condition") for element in package.iter("exec_depend")}
    assert {key for key, condition in conditions.items() if condition == "$GAR_PIP == 1"} == by_pip
    assert {conditions[key] for key in set(conditions) - by_pip} == {None}


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of pyparsing, about catkin_pkg
@pytest.mark.parametrize(("asked", "by_pip"), [({}, False), ({"GAR_PIP": "1"}, True)])
def test_bloom_reads_no_key_of_pip(checkout: Path, asked: dict[str, str], by_pip: bool) -> None:
    """bloom's Debian generator ends at a key that another installer than apt's brings. It knows these three variables;
    rosdep and colcon know the environment."""
    package = parse_package(str(checkout / "package.xml"))
    package.evaluate_conditions({"ROS_VERSION": "2", "ROS_DISTRO": "jazzy", "ROS_PYTHON_VERSION": "3", **asked})
    read = {dependency.name for dependency in package.exec_depends if dependency.evaluated_condition}
    assert {"rclpy", "python3-numpy"} <= read
    assert any(name.endswith("-pip") for name in read) == by_pip


@pytest.mark.parametrize("distribution", sorted(UBUNTU))
def test_rosdep_resolves_every_key(distribution: str, resolved: dict[str, dict[str, str]]) -> None:
    rosdep = shutil.which("rosdep", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if rosdep is None:
        pytest.skip("rosdep is not installed (requirements/dev.lock, or apt: python3-rosdep)")

    def resolve(*keys: str) -> subprocess.CompletedProcess[str]:
        platform = ["--rosdistro", distribution, "--os", f"ubuntu:{UBUNTU[distribution]}"]
        return subprocess.run([rosdep, "resolve", *platform, *keys], capture_output=True, text=True)

    if resolve("rclpy").returncode != 0:
        pytest.skip(f"rosdep has no lists for {distribution} (rosdep init, rosdep update: network)")
    answer = resolve(*resolved)
    assert answer.returncode == 0, answer.stderr
    found = {key: f"{installer} {name}" for key, installer, name in re.findall(ROSDEP_ANSWER, answer.stdout)}
    assert found == {key: packages[distribution] for key, packages in resolved.items()}


def test_the_package_says_whose_it_is(package: ET.Element) -> None:
    (maintainer,) = package.iter("maintainer")
    assert maintainer.text and "@" in maintainer.attrib["email"]
    assert all(text.startswith("https://") for text in texts(package, "url"))
    (license_,) = package.iter("license")
    assert license_.attrib["file"] == "LICENSE"
