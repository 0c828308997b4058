# SPDX-License-Identifier: Apache-2.0
"""What is taken of rclpy fits Humble's and Lyrical's, of which only the sources were at hand: mypy compares."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DISTRIBUTIONS = ("humble", "lyrical")
MYPY = (
    *("--config-file=", "--strict", "--no-site-packages", "--no-warn-unused-ignores"),
    # As pyproject.toml has them.
    *("--allow-any-generics", "--allow-subclassing-any", "--allow-untyped-calls", "--no-warn-return-any"),
    # Of two places that are tried one after the other, a distribution has one.
    *("--disable-error-code=import-not-found", "--disable-error-code=no-redef"),
)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_is_taken_of_rclpy_is_there_in_other_distributions(
    checkout: Path, tmp_path: Path, distribution: str
) -> None:
    assert misfits(checkout, tmp_path, distribution, stub_of(distribution)) == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_another_distribution_lacked_would_be_named(checkout: Path, tmp_path: Path, distribution: str) -> None:
    lacking = ("_update_state", "_parameter_overrides", "resolve_service_name", "_service_change_state")
    stub = stub_of(distribution)
    for name in lacking:
        assert name in stub
        stub = stub.replace(name, f"renamed_{name.strip('_')}")
    told = misfits(checkout, tmp_path, distribution, stub)
    assert [name for name in lacking if not any(f'"{name}"' in line for line in told)] == []


def stub_of(distribution: str) -> str:
    return (Path(__file__).with_name("rclpy_stubs") / f"{distribution}.pyi").read_text()


def misfits(checkout: Path, folder: Path, distribution: str, stub: str) -> list[str]:
    """mypy's errors in gar_ros/rclpy_compat.py where rclpy is what the stub says."""
    pytest.importorskip("mypy", reason="mypy is not installed: make dev-venv")
    write_rclpy(folder, stub)
    module = folder / "checked.py"
    source = (checkout / "gar_ros/rclpy_compat.py").read_text()
    # The installed rclpy lacks what is imported for that distribution only, which therefore must have it.
    module.write_text(re.sub(rf"(# {distribution.title()}\n    from .*?)  # type: ignore.*", r"\1", source))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *MYPY, f"--cache-dir={folder / 'cache'}", str(module)],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def write_rclpy(folder: Path, stub: str) -> None:
    """The package rclpy: each module has the classes that stand below its name in the stub."""
    (folder / "the_stub.pyi").write_text(stub)
    lines = enumerate(stub.splitlines(), 1)
    modules = [(number, name) for number, line in lines for name in re.findall(r"^# (rclpy/\S+)\.py\b", line)]
    assert modules
    for kind in ast.parse(stub).body:
        if isinstance(kind, ast.ClassDef):
            name = [module for number, module in modules if number < kind.lineno][-1]
            file = folder / f"{name}.pyi"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as opened:
                opened.write(f"from the_stub import {kind.name} as {kind.name}\n")
    for package in {folder / "rclpy", *(file.parent for file in (folder / "rclpy").rglob("*.pyi"))}:
        (package / "__init__.pyi").touch()
