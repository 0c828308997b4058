# SPDX-License-Identifier: Apache-2.0
"""The soak in short: what must hold on a machine of any speed; memory and durations need an idle one: `make soak`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes import StartProcess
from tests.system.robot import PATIENCE
from tools.soak.journal import Row, rows


@pytest.fixture
def minutes() -> float:
    """How long the short form is; see tests/parts.py."""
    return 3.0


def soak(start_process: StartProcess, domain: int, out: Path, minutes: float, *options: str) -> list[Row]:
    """The checks of a soak that has ended."""
    command = ["-m", "tools.soak", "--minutes", str(minutes), "--out", str(out), "--domain", str(domain), *options]
    process = start_process(sys.executable, *command)
    process.wait(minutes * 60 + 2 * PATIENCE)
    checks = rows(out / "checks.jsonl")
    assert checks, process.log
    return checks


def not_held(checks: list[Row]) -> list[str]:
    return [f"{row['what']}: {row['got']}" for row in checks if not row["held"] and not row["timed"]]


def test_a_node_outlives_who_asks_errs_and_dies(start_process: StartProcess, ros_domain: int, tmp_path: Path) -> None:
    checks = soak(start_process, ros_domain, tmp_path / "soak", 0.8, "--planners", "4", "--pause", "0.5")
    assert not_held(checks) == []


def test_it_does_for_minutes(start_process: StartProcess, ros_domain: int, tmp_path: Path, minutes: float) -> None:
    assert not_held(soak(start_process, ros_domain, tmp_path / "soak", minutes)) == []
