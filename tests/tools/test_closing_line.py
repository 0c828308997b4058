# SPDX-License-Identifier: Apache-2.0
"""What CI says last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.closing_line import closing_line, joined, main

ROBOT = "====== 1700 passed, 160 skipped, 2 rerun, 1 warning in 400.50s (0:06:40) ======"
REST = "=== 2 failed, 430 passed, 1739 deselected, 3 warnings, 1 error in 99.75s (0:01:39) ==="


def test_the_last_line_of_a_run_is_found() -> None:
    log = f"=== warnings summary ===\ntest said: === 1 passed in 0.10s ===\n{ROBOT}\nmake: *** [test] Error 1\n"
    assert closing_line(log) == ROBOT
    assert closing_line("Killed\n") is None


def test_the_sum_is_a_line_as_pytest_writes_it() -> None:
    line = joined([ROBOT, REST])
    assert line.strip("=") == " 2 failed, 2130 passed, 160 skipped, 2 rerun, 4 warnings, 1 errors in 500.25s (0:08:20) "
    assert closing_line(line) == line
    assert joined(["=== no tests ran in 0.01s ==="]).strip("=") == " no tests ran in 0.01s (0:00:00) "


def test_a_run_that_did_not_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "robot.log").write_text(ROBOT)
    (tmp_path / "rest.log").write_text("Segmentation fault\n")
    assert main([str(tmp_path / "robot.log"), str(tmp_path / "rest.log")]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.endswith(ROBOT)
    assert second.endswith("rest.log: pytest did not come to its end")
    assert " 1700 passed, 160 skipped, 2 rerun, 1 warnings in 400.50s (0:06:40) " in last
