# SPDX-License-Identifier: Apache-2.0
"""embeddings.npy, and the tied head of a large decoder that is stored there once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from gar_export import decoder_graph, vision_graph
from gar_export.exporter import export_checkpoint
from gar_export.graph import ALIGNMENT
from gar_export.synthetic import synthetic_image
from gar_export.table import write_table
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, VISION


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_numpy_reads_it_and_the_values_begin_at_a_page(dtype: type, tmp_path: Path) -> None:
    table: np.ndarray = np.arange(12, dtype=dtype).reshape(4, 3)
    stored = write_table(tmp_path / "table.npy", table)
    read = np.load(tmp_path / "table.npy", allow_pickle=False)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, table)
    assert (stored.file, stored.offset, stored.dtype) == ("table.npy", ALIGNMENT, np.dtype(dtype))
    np.testing.assert_array_equal(np.fromfile(tmp_path / "table.npy", dtype, offset=ALIGNMENT), table.ravel())


def test_columns_one_after_another_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected rows one after another"):
        write_table(tmp_path / "table.npy", np.zeros((2, 3), np.float32).T)


@pytest.fixture(scope="module")
def external_model_dir(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`checkpoint_1b` exported as a large one is: every graph's weights in a file beside it."""
    out = tmp_path_factory.mktemp("external") / "model"
    with pytest.MonkeyPatch.context() as patch:
        for module in (vision_graph, decoder_graph):
            patch.setattr(module, "EXTERNAL_DATA_BYTES", 0)
        export_checkpoint(checkpoint_1b, out)
    return out


def test_a_large_tied_head_is_in_the_table_alone(external_model_dir: Path) -> None:
    model = ModelDir.open(external_model_dir)
    assert {f"{VISION}.data", f"{DECODER}.data"} <= set(model.manifest.files)
    graph = onnx.load(external_model_dir / DECODER, load_external_data=False).graph
    (head,) = [tensor for tensor in graph.initializer if tensor.name == "lm_head.weight"]
    places = {entry.key: entry.value for entry in head.external_data}
    table = model.manifest.files[EMBEDDINGS].bytes
    assert places == {"location": EMBEDDINGS, "offset": str(ALIGNMENT), "length": str(table - ALIGNMENT)}
    assert model.manifest.files[f"{DECODER}.data"].bytes < table


def test_it_answers_as_the_graphs_in_one_file_do(external_model_dir: Path, exported_1b: Path) -> None:
    engines = [GarEngine.open(folder, "cpu", threads=1) for folder in (external_model_dir, exported_1b)]
    image, regions = synthetic_image(engines[0].manifest.sizes)
    beside, single = (
        engine.encode(image, regions, max_tiles=1).ask("What is <Prompt0>?", max_tokens=8) for engine in engines
    )
    assert beside.token_ids == single.token_ids
    assert beside.confidence == pytest.approx(single.confidence, abs=1e-6)
