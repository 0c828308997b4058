# SPDX-License-Identifier: Apache-2.0
"""vision_msgs and yolo_msgs as far as detectors fill them, built from their field layout where they are absent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tests.system.colcon import build_environment, colcon_program, prepended

MESSAGES = {
    "vision_msgs": {
        "Point2D": "float64 x\nfloat64 y\n",
        "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
        "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
        "ObjectHypothesis": "string class_id\nfloat64 score\n",
        "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
        "Detection2D": (
            "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
            "vision_msgs/BoundingBox2D bbox\nstring id\n"
        ),
        "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
    },
    "yolo_msgs": {
        "Point2D": "float64 x\nfloat64 y\n",
        "Vector2": "float64 x\nfloat64 y\n",
        "Pose2D": "yolo_msgs/Point2D position\nfloat64 theta\n",
        "BoundingBox2D": "yolo_msgs/Pose2D center\nyolo_msgs/Vector2 size\n",
        "Mask": "int32 height\nint32 width\nyolo_msgs/Point2D[] data\n",
        "Detection": (
            "int32 class_id\nstring class_name\nfloat64 score\nstring id\n"
            "yolo_msgs/BoundingBox2D bbox\nyolo_msgs/Mask mask\n"
        ),
        "DetectionArray": "std_msgs/Header header\nyolo_msgs/Detection[] detections\n",
    },
}
"""Package -> message -> fields. Of yolo_msgs' Detection the 3D box and the key points are left out."""

SERVICES = {"yolo_msgs": {"SetClasses": "string[] classes\n---\n"}}
"""Package -> service -> fields."""

DEPENDENCIES = ("geometry_msgs", "std_msgs")

_CMAKE = """cmake_minimum_required(VERSION 3.16)
project({name})
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
file(GLOB messages RELATIVE "${{CMAKE_CURRENT_SOURCE_DIR}}" msg/*.msg srv/*.srv)
rosidl_generate_interfaces({name} ${{messages}} DEPENDENCIES geometry_msgs std_msgs)
ament_package()
"""
_PACKAGE = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name><version>0.0.0</version><description>For a test.</description>
  <maintainer email="test@example.com">test</maintainer><license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <build_depend>rosidl_default_generators</build_depend>
  <depend>geometry_msgs</depend><depend>std_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def with_messages(folder: Path, checkout: Path, names: Iterable[str]) -> dict[str, str]:
    """Environment in which these packages are installed, on top of this process's; those that are absent are built in
    `folder`. Skips the test where colcon is missing."""
    python_path = f"{checkout}:{os.environ.get('PYTHONPATH', '')}"
    absent = [name for name in names if find_spec(name) is None]
    if not absent:
        return {"PYTHONPATH": python_path}
    write_packages(folder / "src", absent)
    command = [
        colcon_program(),
        f"--log-base={folder / 'log'}",
        "build",
        "--merge-install",
        f"--base-paths={folder / 'src'}",
        f"--build-base={folder / 'build'}",
        f"--install-base={folder / 'install'}",
        "--cmake-args",
        f"-DCMAKE_PROJECT_INCLUDE={checkout / 'cmake/pip_wheels.cmake'}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
    ]
    environment = {**os.environ, **build_environment(folder)}
    built = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=900, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return sourced(folder / "install", python_path)


def write_packages(folder: Path, names: Iterable[str]) -> None:
    """Writes the sources of these packages."""
    for name in names:
        package = folder / name
        (package / "msg").mkdir(parents=True)
        (package / "CMakeLists.txt").write_text(_CMAKE.format(name=name))
        (package / "package.xml").write_text(_PACKAGE.format(name=name))
        for message, fields in MESSAGES[name].items():
            (package / f"msg/{message}.msg").write_text(fields)
        (package / "srv").mkdir()
        for service, fields in SERVICES.get(name, {}).items():
            (package / f"srv/{service}.srv").write_text(fields)


def sourced(install: Path, python_path: str) -> dict[str, str]:
    """What `source install/setup.sh` of a merged install space sets."""
    (packages,) = install.glob("lib/python*/site-packages")
    return {
        "AMENT_PREFIX_PATH": f"{install}:{prepended(sys.prefix, 'AMENT_PREFIX_PATH')}",
        "LD_LIBRARY_PATH": prepended(install / "lib", "LD_LIBRARY_PATH"),
        "PYTHONPATH": f"{packages}:{python_path}",
    }
