# SPDX-License-Identifier: Apache-2.0
"""What `gar` says of a model whose users must know something: gar-tiny, the default one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.main import main


def test_gar_ask_gives_the_notice_once_and_leaves_the_output_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(picture)
    words = ["--image", str(picture), "--box", "5,5,20,20", "Is <Prompt0> red?", "--choices", "yes,no", "--json"]
    assert main(["ask", "--threads", "1", *words]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["answer"] in ("yes", "no")
    assert err.startswith("note: gar-tiny knows the simulated tabletop only")
    assert "--model" in err
    assert err.count("\n") == 1


def test_gar_info_shows_the_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert "\nnotice   gar-tiny knows the simulated tabletop only" in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notice"].startswith("gar-tiny knows")
