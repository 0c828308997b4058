# SPDX-License-Identifier: Apache-2.0
"""`gar build-engine`: what is missing is said before any work; the build itself runs on a stand-in GPU here.

tests/engine/runtime/tensorrt/test_rtx.py runs the command with a real TensorRT.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> StandInTensorRt:
    cuda = StandInCuda()
    made = StandInTensorRt(cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    return made


@pytest.mark.parametrize("missing", ["tensorrt", "gpu"])
def test_what_is_missing_is_said_before_any_work(
    missing: str,
    trt: StandInTensorRt,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    if missing == "gpu":
        trt.cuda.gpus = 0
    else:
        for name in ("tensorrt", "tensorrt_rtx"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(ModelDir, "open", lambda _: pytest.fail("the model was read"))
    assert main(["build-engine", "--cache", str(tmp_path / "cache")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gar: TensorRT can't be used here: ")
    assert err.count("\n") == 1
    assert ("CUDA finds no GPU" in err, "module tensorrt is not installed" in err) == (
        missing == "gpu",
        missing != "gpu",
    )
    assert ("pip install" in err, "on Jetson" in err) == (missing != "gpu",) * 2
    assert not (tmp_path / "cache").exists()


def test_this_machine_is_told_plainly(tmp_path: Path) -> None:
    """As a user without a GPU meets it, or without TensorRT."""
    program = (
        "import sys; sys.modules['tensorrt'] = None; from gar_ros.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "build-engine", "--cache", str(tmp_path / "cache")]
    result = subprocess.run([*command, "no-such-folder"], capture_output=True, text=True, check=False)
    if "no-such-folder" in result.stderr:
        pytest.skip("there is a GPU here")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("gar: TensorRT can't be used here")
    assert list(tmp_path.iterdir()) == []


def test_engines_are_built_once(trt: StandInTensorRt, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["build-engine", "--cache", str(tmp_path), "--workspace", "2", "--timing-cache", str(tmp_path / "t")]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "tensorrt 10.3.0 for Stand-in, SM87, 16 multiprocessors, 64 GiB, gar-tiny" in err
    assert [Path(line).is_file() for line in out.splitlines()] == [True] * 3
    assert len(trt.builds) == 3
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.out == out
    assert "--workspace has no effect on engines that are there already" in again.err
    assert main(["build-engine", "--cache", str(tmp_path)]) == 0
    again = capsys.readouterr()
    assert (again.out, "--workspace" in again.err) == (out, False)
    assert len(trt.builds) == 3


def test_the_default_folder_is_where_the_runtime_looks(
    trt: StandInTensorRt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["build-engine"]) == 0
    folder = tmp_path / "gar_ros/engines"
    assert all(Path(line).parent == folder for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--workspace", "0"], "expected GiB above 0, got '0'"),
        (["--workspace", "much"], "expected GiB above 0, got 'much'"),
        (["nowhere"], "found nothing"),
        (["--cache", "/proc/engines"], "expected a folder for engines that can be written"),
        (["--timing-cache", "/proc/timings"], "expected to write"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    trt: StandInTensorRt, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], expected: str
) -> None:
    try:
        code = main(["build-engine", "--cache", str(tmp_path), *words])
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert expected in err
    assert err.splitlines()[-1].startswith("gar: ")
