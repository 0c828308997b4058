# SPDX-License-Identifier: Apache-2.0
"""`python -m gar_export.losses`: exports of fewer bits beside the float32 one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_export.losses import centred, cosine, main


def test_a_model_has_lost_nothing_against_itself_and_little_with_8_bits(
    exported_1b: Path, few_bits_1b: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main([str(exported_1b), f"{exported_1b}:cpu", str(few_bits_1b[8]), str(few_bits_1b[4]), "--threads", "1"]) == 0
    )
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["1.00000", "0.0%", "1.0000", "100%"]
    assert [row[:2] for row in rows[1:]] == [["1.00000", "0.0%"]] * 2, "their vision is float32"
    exact, eight, four = (float(row[2]) for row in rows)
    assert exact > eight > four > 0


def test_a_model_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere", "nowhere"]) == 2
    assert "losses: model folder 'nowhere'" in capsys.readouterr().err


def test_a_constant_added_to_all_logits_is_no_loss() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    assert cosine(centred(rows), centred(rows + 7)) == pytest.approx(1)
    assert cosine(rows, -rows) == pytest.approx(-1)
