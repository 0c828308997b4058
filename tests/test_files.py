# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gar_ros.files import is_running, write_atomically


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.engine"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        assert path.read_bytes() == b"old"  # the new bytes are not under its name yet
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_has_ended_is_not_running_though_nobody_has_asked_for_its_exit_code() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert is_running(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its exit code stays to be asked for
    assert not is_running(child.pid)
    child.communicate()
    assert not is_running(child.pid)
