# SPDX-License-Identifier: Apache-2.0
"""Where ROS keeps the log files of this process. ROS ends a process that has no place for them; the node goes on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def ensure_log_folder() -> str:
    """Sets ROS_LOG_DIR to a temporary folder where ROS could not write its log files: a user without a home, or with a
    read-only one. To be called before `rclpy.init`; returns what was wrong in one line, or an empty text.
    """
    wanted = _wanted()
    reason = "HOME is not set" if wanted is None else _refusal(wanted)
    if not reason:
        return ""
    folder = tempfile.mkdtemp(prefix="gar_ros_log_")
    os.environ["ROS_LOG_DIR"] = folder
    return f"ROS can't write log files ({reason}); they are in '{folder}': set ROS_LOG_DIR to a writable folder"


def _wanted() -> Path | None:
    """Where ROS writes them: ROS_LOG_DIR, else ROS_HOME/log, else ~/.ros/log. None where it can't tell."""
    home = os.environ.get("HOME")
    given, ros_home = os.environ.get("ROS_LOG_DIR"), os.environ.get("ROS_HOME")
    path = given or (f"{ros_home}/log" if ros_home else "~/.ros/log")
    if path.startswith("~"):
        return Path(home + path[1:]) if home else None
    return Path(path)


def _refusal(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{error.strerror}: '{folder}'"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"'{folder}' can't be written"
