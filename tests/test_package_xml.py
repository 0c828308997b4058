"""package.xml tells rosdep what the sources import."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.test_import_rules import imported_modules, imports_of

# What is imported -> the rosdep key where both differ. ONNX Runtime and tokenizers have none (README, On a robot).
KEYS = {"cv2": "python3-opencv", "numpy": "python3-numpy", "PIL": "python3-pil"}


def test_every_ros_package_that_is_imported_is_declared(checkout: Path) -> None:
    declared = set(re.findall("<(?:exec_)?depend>([^<]+)<", (checkout / "package.xml").read_text()))
    launch = ast.parse((checkout / "launch/gar.launch.py").read_text())
    imported = {module.partition(".")[0] for node in ast.walk(launch) for module in imported_modules(node)}
    imported |= {used.top for used in imports_of(checkout) if used.room not in ("export", "sim")}
    of_ros = {
        name for name in imported if name.startswith(("ament_", "builtin_", "launch", "rcl")) or name.endswith("_msgs")
    }
    assert of_ros >= {"launch_ros", "rclpy", "sensor_msgs"}
    assert of_ros | {KEYS[name] for name in imported & set(KEYS)} <= declared
