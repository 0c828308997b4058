# SPDX-License-Identifier: Apache-2.0
"""The `gar` command's surface: help, lazy imports, one line for whatever is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.main import COMMANDS, main
from tests.optional import without_packages


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    Image.fromarray(np.uint8(255) * np.eye(6, 8, dtype=np.uint8)).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def outcome(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(capsys, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)


def test_asking_imports_neither_torch_nor_ros(picture: Path) -> None:
    program = (
        "import sys; from gar_ros.cli.main import main\n"
        f"main(['ask', '--image', {str(picture)!r}, 'x'])\n"
        "sys.exit(len({'torch', 'transformers', 'rclpy', 'gar_export'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("absent", ["mcp", "rclpy"])
def test_what_an_agents_server_needs_is_named(absent: str, tmp_path: Path) -> None:
    environment = {**os.environ, **without_packages(tmp_path, absent)}
    command = [sys.executable, "-m", "gar_ros.cli.main", "mcp"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is no module {absent}; source ROS, or run `pip install 'mcp>=2.3,<3'`" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "arguments are required: command"),
        (("fly",), "invalid choice: 'fly'"),
        (("ask", "What?"), "--image --frame is required"),
        (("ask", "--image", "IMAGE", "What?"), "at least one --mask or --box"),
        (("ask", "--image", "IMAGE", "--mask", "MASK"), "either a question"),
        (("ask", "--image", "IMAGE", "--mask", "MASK", "--describe", "What?"), "either a question"),
        (("ask", "--image", "IMAGE", "--mask", "MASK", "--describe", "--choices", "a,b"), "either a question"),
        (("ask", "--image", "none.png", "--mask", "MASK", "What?"), "'none.png' can't be read"),
        (("ask", "--image", "IMAGE", "--mask", "none.png", "What?"), "'none.png' can't be read"),
        (("ask", "--image", "IMAGE", "--box", "1,2,3", "What?"), "expected X0,Y0,X1,Y1 in whole pixels, got '1,2,3'"),
        (("ask", "--image", "IMAGE", "--box", "9,9,12,12", "What?"), "a pixel inside the 8x6 px image"),
        (("ask", "--image", "IMAGE", "--mask", "MASK", "--model", "nowhere", "What?"), "found nothing"),
        (("ask", "--image", "IMAGE", "--mask", "MASK", "--provider", "gpu", "What?"), "invalid choice: 'gpu'"),
        (("info", "nowhere"), "found nothing"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], picture: Path, mask: Path, words: tuple[str, ...], expected: str
) -> None:
    files = {"IMAGE": str(picture), "MASK": str(mask)}
    code, out, err = outcome(capsys, *(files.get(word, word) for word in words))
    assert (code, out) == (2, "")
    assert err.startswith("gar: ")
    assert expected in err
    assert err.count("\n") == 1


def test_an_empty_mask_is_named(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / "empty.png")
    code, _, err = outcome(capsys, "ask", "--image", picture, "--mask", tmp_path / "empty.png", "What?")
    assert code == 2
    assert "empty.png" in err
    assert "expected a mask with a pixel inside" in err


def test_a_reader_that_has_gone_is_no_error(model_dir: Path) -> None:
    command = [sys.executable, "-m", "gar_ros.cli.main", "info", str(model_dir)]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
