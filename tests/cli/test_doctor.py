# SPDX-License-Identifier: Apache-2.0
"""`gar doctor` on the machine that runs the tests; tests/doctor has others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gar_ros.cli.main import main
from gar_ros.doctor.facts import Facts, Model
from tests.optional import without_packages


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts of a machine without anything, at once."""
    monkeypatch.setattr("gar_ros.cli.doctor.gather", lambda model, engines: Facts(model=model and Model(str(model))))


def test_this_machine_serves(capsys: pytest.CaptureFixture[str], model_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    assert main(["doctor", str(model_dir), "--json", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[-2] == "serves: yes"
    assert lines[-1].startswith("next step: ")
    content = json.loads(file.read_text())
    assert content["format"] == "gar_ros-doctor-1"
    assert content["step"] == lines[-1].removeprefix("next step: ")
    assert content["facts"]["onnxruntime"]["version"]
    assert [check["part"] for check in content["checks"]][:2] == ["machine", "ONNX Runtime"]


@pytest.mark.usefixtures("no_probes")
def test_where_nothing_can_serve_the_exit_code_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    out, _ = capsys.readouterr()
    assert "serves: no" in out
    assert "the package onnxruntime is not installed" in out


@pytest.mark.usefixtures("no_probes")
def test_a_file_that_cannot_be_written_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "/proc/doctor.json"]) == 2
    assert capsys.readouterr().err.startswith("gar: '/proc/doctor.json' can't be written: ")


def test_it_runs_where_no_library_of_the_model_is_installed(tmp_path: Path) -> None:
    """As on a robot whose Python is the wrong one."""
    absent = ("numpy", "onnxruntime", "msgspec", "tokenizers", "cv2", "PIL", "rclpy")
    command = [sys.executable, "-m", "gar_ros.cli.main", "doctor"]
    environment = {**os.environ, **without_packages(tmp_path, *absent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "next step: pip install --no-deps -r requirements/robot.lock" in done.stdout
