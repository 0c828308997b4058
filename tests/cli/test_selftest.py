# SPDX-License-Identifier: Apache-2.0
"""`gar selftest` with gar-tiny on the providers that any machine has, and on one that isn't there."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from gar_ros.cli.main import main
from gar_ros.doctor.facts import Facts

OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed (make test)")


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the machine have tests of their own, and take seconds."""
    monkeypatch.setattr("gar_ros.bench.selftest.command.gather", lambda folder: Facts())


@pytest.mark.parametrize("provider", ["cpu", pytest.param("openvino", marks=OPENVINO)])
def test_all_limits_hold_for_gar_tiny(
    provider: str, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "selftest.json"
    words = ["selftest", str(checkout / "models/gar-tiny"), "--provider", provider, "--threads", "2"]
    code = main([*words, "--json", str(file)])
    out, _ = capsys.readouterr()
    assert code == 0, out
    assert out.endswith("\nall limits hold\n")
    content = json.loads(file.read_text())
    assert (content["format"], content["ok"], content["model"]["name"]) == ("gar_ros-selftest-1", True, "gar-tiny")
    rows = {row["name"]: row for row in content["rows"]}
    assert [name for name, row in rows.items() if row["ok"]] == [
        "vision: features",
        "replay: tokens",
        "decoder: prefill logits",
        "decoder: decode logits",
        "question: answer",
    ]
    assert rows["provider"]["text"].startswith(f"{provider}, loaded in ")
    measured = {"first answer", "further answer", "decode", "host memory", "memory bandwidth", "decode's share of it"}
    assert measured <= {name for name, row in rows.items() if row["ok"] is None and row["numbers"]}


def test_a_provider_that_is_not_there_is_a_row(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", str(checkout / "models/gar-tiny"), "--provider", "tensorrt"]) == 1
    out, err = capsys.readouterr()
    (line,) = [line for line in out.splitlines() if line.startswith("provider")]
    assert "FAILED  failed: tensorrt was asked for; tensorrt is not available: " in line
    assert out.endswith("NOT all limits hold\n")
    assert "Traceback" not in err


def test_a_folder_that_is_no_model_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gar: model folder ")
    assert err.count("\n") == 1


def test_the_cpu_may_run_another_export_of_the_same_sizes_only(
    checkout: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`model_dir` is gar-tiny with a longer context."""
    assert main(["selftest", str(checkout / "models/gar-tiny"), "--reference", str(model_dir)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "to be of the sizes of" in err
