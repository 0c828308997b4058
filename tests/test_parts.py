# SPDX-License-Identifier: Apache-2.0
"""What tests/parts.py promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import fixtures_golden
from tests.parts import FIXTURES

SOME = ("tests/tools/test_quirks.py", "tests/engine/test_resize.py")
"""Of the first all tests need torch, of the second some need golden data."""


def collected(checkout: Path, part: str) -> list[str]:
    """Names of the tests of SOME that belong to the part."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--part", part, *SOME]
    listed = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout
    return [line.rpartition("::")[2] for line in listed.splitlines() if "::" in line]


def test_the_robot_side_has_what_needs_neither_torch_nor_golden_data(checkout: Path) -> None:
    robot = collected(checkout, "robot")
    assert "test_bicubic_by_hand" in robot
    assert "test_nearest_index_equals_the_released_resize" not in robot
    assert "test_without_an_oddity_it_is_the_engines_request" not in robot


def test_the_rest_has_what_the_robot_side_has_not(checkout: Path) -> None:
    rest = collected(checkout, "rest")
    assert "test_nearest_index_equals_the_released_resize" in rest
    assert "test_bicubic_by_hand" not in rest


def test_the_fixtures_of_golden_data_exist() -> None:
    assert [name for name in FIXTURES if not hasattr(fixtures_golden, name)] == []
