# SPDX-License-Identifier: Apache-2.0
"""`gar bench`'s surface: the benchmarks by name, each imported alone."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from gar_ros.cli.bench import BENCHMARKS
from gar_ros.cli.main import main


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = main(words)
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(capsys, "bench", "--help")
    assert code == 0
    assert all(name in out for name in BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_module_and_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    if name == "tabletop":
        pytest.importorskip("mujoco", reason="MuJoCo is not installed, which draws the tabletop (make test)")
    module = importlib.import_module(f"gar_ros.bench.{name.replace('-', '_')}")
    assert callable(module.run)
    code, out, _ = outcome(capsys, "bench", name, "--help")
    assert code == 0
    assert out.startswith(f"usage: gar bench {name} ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "arguments are required: name"),
        (("fly",), "invalid choice: 'fly'"),
        (("score",), "arguments are required: FILE (see `gar bench score --help`)"),
        (("score", "none.json"), "'none.json': can't be read: No such file"),
        (("score", "none.json", "--prompts", "0"), "expected a number above 0, got 0"),
        (("gar-bench", "--data", "x"), "arguments are required: --model, --out"),
        (("gar-bench", "--data", "x", "--model", "m", "--out", "o", "--task", "y"), "invalid choice: 'y'"),
        (("gar-bench", "--data", "x", "--model", "m", "--out", "o", "--limit", "0"), "expected a number above 0"),
        (("gar-bench", "--data", "x", "--model", "m", "--out", "o", "--limit", "many"), "invalid positive value"),
        (("gar-bench", "--data", "x", "--model", "m", "--out", "o"), "'x': can't be read: No such file"),
        (("dlc-bench", "--data", "x", "--model", "m", "--out", "o"), "arguments are required: --images"),
        (("dlc-bench", "--data", "x", "--images", ".", "--model", "m", "--out", "o"), "'x': can't be read"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    code, out, err = outcome(capsys, "bench", *words)
    assert (code, out) == (2, "")
    assert err.startswith("gar: ")
    assert expected in err
    assert err.count("\n") == 1


def test_scoring_imports_no_other_benchmark() -> None:
    program = (
        "import sys; from gar_ros.cli.main import main\n"
        "main(['bench', 'score', 'none.json'])\n"
        "others = {'gar_ros.bench.gar_bench', 'gar_ros.bench.dlc_bench', 'pycocotools'}\n"
        "sys.exit(len(others & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
