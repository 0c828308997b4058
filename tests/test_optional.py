# SPDX-License-Identifier: Apache-2.0
"""What tests/optional.py promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.optional import NEEDED_BY, TESTS, absent_packages, without_packages
from tests.processes import StartProcess


def test_what_is_skipped_exists() -> None:
    assert [name for names in NEEDED_BY.values() for name in names if not (TESTS / name).exists()] == []


def test_absent_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEEDED_BY, "no_such_package", ("sim",))
    assert "no_such_package" in absent_packages(TESTS / "sim")
    assert "no_such_package" not in absent_packages(TESTS / "view")


def test_a_process_does_not_see_an_installed_package(start_process: StartProcess, tmp_path: Path) -> None:
    child = start_process(sys.executable, "-c", "import numpy", env=without_packages(tmp_path / "absent", "numpy"))
    assert child.wait(timeout=30) == 1
    assert "ModuleNotFoundError: No module named 'numpy'" in child.log
