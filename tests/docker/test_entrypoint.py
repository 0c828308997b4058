# SPDX-License-Identifier: Apache-2.0
"""docker/entrypoint.sh, beside a workspace of which there is only what it sources."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def entrypoint(tmp_path: Path, checkout: Path) -> Path:
    workspace = tmp_path / "a workspace"
    (workspace / "install").mkdir(parents=True)
    (workspace / "install/setup.bash").write_text("export SOURCED=yes\n")
    return Path(shutil.copy(checkout / "docker/entrypoint.sh", workspace))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd="/", capture_output=True, text=True)


def test_a_command_has_the_workspace_s_environment(entrypoint: Path) -> None:
    assert run(entrypoint, "printenv", "SOURCED").stdout == "yes\n"


def test_arguments_arrive_as_they_are(entrypoint: Path) -> None:
    assert run(entrypoint, "printf", "<%s>", "a b", "$HOME", "").stdout == "<a b><$HOME><>"


def test_the_command_takes_the_place_of_the_shell_so_that_it_gets_signals(entrypoint: Path) -> None:
    shown = run("bash", "-c", 'echo $$; exec "$@"', "bash", entrypoint, "bash", "-c", "echo $$")
    before, after = shown.stdout.split()
    assert before == after


def test_the_exit_code_is_the_command_s(entrypoint: Path) -> None:
    assert run(entrypoint, "bash", "-c", "exit 7").returncode == 7


def test_without_a_workspace_nothing_runs(entrypoint: Path) -> None:
    (entrypoint.parent / "install/setup.bash").unlink()
    failed = run(entrypoint, "echo", "ran")
    assert failed.returncode != 0
    assert "ran" not in failed.stdout
    assert "install/setup.bash" in failed.stderr
