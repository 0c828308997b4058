# SPDX-License-Identifier: Apache-2.0
"""CHANGELOG.rst can be read by the tools that release ROS packages (REP 132)."""

from __future__ import annotations

from pathlib import Path

from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.changelog_generator import FORTHCOMING_LABEL


def test_the_forthcoming_changes_become_those_of_the_next_release(checkout: Path, tmp_path: Path) -> None:
    written = (checkout / "CHANGELOG.rst").read_text()
    underlined = f"\n{FORTHCOMING_LABEL}\n{'-' * len(FORTHCOMING_LABEL)}\n"
    assert written.count(underlined) == 1
    released = "9.9.9 (2030-01-01)"
    path = tmp_path / "CHANGELOG.rst"
    path.write_text(written.replace(underlined, f"\n{released}\n{'-' * len(released)}\n"))
    (version, _, changes), *_ = get_changelog_from_path(str(path), "gar_ros").foreach_version(reverse=True)
    assert version == "9.9.9" and len(changes) > 0
