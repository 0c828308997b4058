# SPDX-License-Identifier: Apache-2.0
"""Python libraries that a robot has from apt and PyPI has not: used where ROS brings them, done without elsewhere."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def ros_library(package: str, module: str) -> ModuleType | None:
    """The module of a ROS package that ament knows; None where it is not installed or can't be imported.

    PyPI has packages of the same names that are others: its `cv-bridge` is a ROS 1 port that gives wrong pixels.
    """
    try:
        prefix = Path(get_package_prefix(package))
        found = importlib.import_module(module)
        file = Path(str(found.__file__))
    except (OSError, PackageNotFoundError, ImportError, AttributeError, TypeError, ValueError, SystemError):
        return None  # the last four: an extension that was built for another NumPy
    # Links may lead into the prefix (a merged install space) or out of it (colcon build --symlink-install).
    return found if prefix in file.parents or prefix.resolve() in file.resolve().parents else None
