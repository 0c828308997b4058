# SPDX-License-Identifier: Apache-2.0
"""The test suite's own promise: a child process is gone when its test ends, and a failure shows its log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.processes import process_starter, session_members

FAMILY = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "


def test_a_child_and_its_own_child_are_gone_afterwards(tmp_path: Path) -> None:
    with process_starter(tmp_path) as start:
        child = start(sys.executable, "-c", FAMILY + "print('started'); time.sleep(60)")
        child.wait_for_log("started", timeout=30)
        assert len(session_members(child.pid)) == 2
    assert session_members(child.pid) == []


def test_a_grandchild_is_gone_although_its_parent_had_ended(tmp_path: Path) -> None:
    with process_starter(tmp_path) as start:
        child = start(sys.executable, "-c", FAMILY)
        assert child.wait(timeout=30) == 0
        assert len(session_members(child.pid)) == 1
    assert session_members(child.pid) == []


def test_ending_too_early_fails_with_the_log(tmp_path: Path) -> None:
    with process_starter(tmp_path) as start:
        child = start(sys.executable, "-c", "import sys; sys.exit('no camera')")
        with pytest.raises(AssertionError, match=r"ended with 1 before 'ready' in the log\n[^\n]*\nno camera"):
            child.wait_for_log("ready", timeout=30)


def test_interrupt_is_what_ctrl_c_sends(tmp_path: Path) -> None:
    with process_starter(tmp_path) as start:
        child = start("sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done")
        child.wait_for_log("ready", timeout=30)
        assert child.interrupt(timeout=30) == 7


def test_every_test_has_a_domain_of_its_own(ros_domain: int) -> None:
    assert os.environ["ROS_DOMAIN_ID"] == str(ros_domain)
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
