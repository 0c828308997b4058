# SPDX-License-Identifier: Apache-2.0
"""What users must know of a model goes from its checkpoint, or from `gar export --notice`, into the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from gar_export.config import NOTICE_FILE
from gar_export.exporter import export_checkpoint
from gar_export.train import tiny_checkpoint
from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.errors import GarError


def test_the_notice_is_the_checkpoints_or_the_one_that_is_given(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / NOTICE_FILE).write_text("Knows mugs\nonly.\n")
    assert export_checkpoint(checkpoint, tmp_path / "out").notice == "Knows mugs only."
    words = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "out"), "--notice", "Knows nothing."]
    assert main(words) == 0
    assert ModelDir.open(tmp_path / "out").manifest.notice == "Knows nothing."


def test_a_notice_that_can_not_be_shown_is_refused_before_anything_is_written(
    checkpoint_1b: Path, tmp_path: Path
) -> None:
    with pytest.raises(GarError, match=r"expected the notice to be one line .* got '\\x1b\[31m' \(5 characters\)"):
        export_checkpoint(checkpoint_1b, tmp_path / "out", notice="\x1b[31m")
    assert list(tmp_path.iterdir()) == []


def test_gar_tinys_notice_is_the_one_that_training_writes(checkout: Path) -> None:
    shipped = checkout / "models/gar-tiny"
    assert ModelDir.open(shipped).manifest.notice == tiny_checkpoint.NOTICE
    assert (shipped / "checkpoint" / NOTICE_FILE).read_text() == f"{tiny_checkpoint.NOTICE}\n"
