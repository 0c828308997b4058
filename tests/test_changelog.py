# SPDX-License-Identifier: Apache-2.0
"""CHANGELOG.rst is about the version of package.xml, and the tools that release ROS packages can read it (REP 132)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import pytest
from catkin_pkg.changelog import Changelog, get_changelog_from_path
from catkin_pkg.changelog_generator import FORTHCOMING_LABEL


@pytest.fixture
def changelog(checkout: Path) -> Changelog:
    return get_changelog_from_path(str(checkout / "CHANGELOG.rst"), "gar_ros")


def released(changelog: Changelog) -> list[str]:
    """Versions, the newest first, without what is forthcoming."""
    versions = [version for version, _, _ in changelog.foreach_version(reverse=True)]
    return [version for version in versions if version.lower() != FORTHCOMING_LABEL.lower()]


def headings(checkout: Path) -> list[str]:
    """The underlined lines of the file, in their order, without its title."""
    return re.findall(r"^(.+)\n-+$", (checkout / "CHANGELOG.rst").read_text(), re.MULTILINE)


def test_the_newest_release_is_the_packages_version(changelog: Changelog, checkout: Path) -> None:
    version = ET.parse(checkout / "package.xml").getroot().findtext("version")  # noqa: S314 our own file
    assert released(changelog)[0] == version


def test_every_version_has_changes(changelog: Changelog) -> None:
    assert len(released(changelog)) >= 2
    assert [version for version, _, changes in changelog.foreach_version() if not changes] == []


def test_versions_and_dates_go_down(checkout: Path) -> None:
    """What is forthcoming, if anything, comes first; the tools would take a heading that they can't read for text."""
    found = headings(checkout)
    releases = found[found[0] == FORTHCOMING_LABEL :]
    matches = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d{2}-\d{2})\)", heading) for heading in releases]
    assert None not in matches, releases
    keys = [(tuple(map(int, match.groups()[:3])), date.fromisoformat(match[4])) for match in matches if match]
    assert keys == sorted(keys, reverse=True)
    dates = [day for _, day in keys]
    assert dates == sorted(dates, reverse=True)


def test_underlines_are_as_long_as_their_headings(checkout: Path) -> None:
    lines = (checkout / "CHANGELOG.rst").read_text().splitlines()
    wrong = [lines[n - 1] for n, line in enumerate(lines) if set(line) == {"-"} and len(line) != len(lines[n - 1])]
    assert wrong == []
