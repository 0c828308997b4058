# SPDX-License-Identifier: Apache-2.0
"""The table of a model that is in use, whatever happens to its files meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.model_dir.embeddings import Embeddings
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import EMBEDDINGS, MANIFEST
from gar_ros.errors import ErrorCode, GarError

LAST = np.array([-1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped model."""
    shipped = default_model_dir()
    names = [MANIFEST, *ModelDir.open(shipped).manifest.files]
    for name in names:
        shutil.copy(shipped / name, tmp_path / name)
    return tmp_path


def refusal(table: Embeddings) -> str:
    with pytest.raises(GarError) as caught:
        table[LAST]
    assert caught.value.code is ErrorCode.BAD_MODEL
    return caught.value.message


def test_rows_are_those_of_the_file(folder: Path) -> None:
    np.testing.assert_array_equal(Embeddings(ModelDir.open(folder))[LAST], np.load(folder / EMBEDDINGS)[LAST])


def test_a_table_that_was_cut_is_refused_until_it_is_whole_again(folder: Path) -> None:
    """Reading the row of a cut file would end this process with SIGBUS."""
    whole = (folder / EMBEDDINGS).read_bytes()
    table = Embeddings(ModelDir.open(folder))
    before = table[LAST].copy()
    os.truncate(folder / EMBEDDINGS, 4096)
    assert "embeddings.npy is truncated" in refusal(table)
    assert "embeddings.npy is truncated" in refusal(table), "told again and again"
    with (folder / EMBEDDINGS).open("r+b") as file:  # the same file, not another one of its name
        file.write(whole)
    np.testing.assert_array_equal(table[LAST], before)


@pytest.mark.parametrize("name", [EMBEDDINGS, "vision.onnx", "tokenizer.json"])
def test_a_file_that_was_written_over_is_refused(folder: Path, name: str) -> None:
    table = Embeddings(ModelDir.open(folder))
    with (folder / name).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        (last,) = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    assert f"{name} is damaged or of another model" in refusal(table)


def test_a_touched_file_is_still_right(folder: Path) -> None:
    table = Embeddings(ModelDir.open(folder))
    before = table[LAST].copy()
    os.utime(folder / EMBEDDINGS, (1, 1))
    np.testing.assert_array_equal(table[LAST], before)


def test_files_that_are_replaced_stay_readable_as_they_were(folder: Path) -> None:
    table = Embeddings(ModelDir.open(folder))
    before = table[LAST].copy()
    (folder / "new").write_bytes(b"another model's")
    (folder / "new").replace(folder / EMBEDDINGS)
    np.testing.assert_array_equal(table[LAST], before)
