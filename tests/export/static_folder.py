# SPDX-License-Identifier: Apache-2.0
"""Decoders and model folders with a static KV cache, made from those that have another."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from gar_export.checkpoint import Weights, load_checkpoint
from gar_export.config import GarConfig
from gar_export.decoder_graph import write_decoder
from gar_export.static_decoder_graph import StaticDecoderWriter
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import DECODER, MANIFEST

_RUNS_OPSET_24 = (1, 32)

needs_opset_24 = pytest.mark.skipif(
    tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < _RUNS_OPSET_24,
    reason=f"ONNX Runtime {onnxruntime.__version__} is not known to run opset 24, 1.32 is",
)


def write_from(checkpoint: Path, path: Path, positions: int) -> None:
    """Writes the checkpoint's decoder in float32 with a static cache of so many positions."""
    model, config = load_checkpoint(checkpoint)
    write_decoder(
        path, shortened(config, positions), Weights(checkpoint), model.inv_freq.numpy(), writer=StaticDecoderWriter
    )


def shortened(config: GarConfig, positions: int) -> GarConfig:
    """The config with a context of so many positions."""
    return replace(config, decoder=replace(config.decoder, max_positions=positions))


def static_folder(model_dir: Path, checkpoint: Path, folder: Path, positions: int) -> Path:
    """A copy of a model folder, in the new `folder`, whose decoder has a static cache of so many positions.

    checkpoint: the model's.
    """
    shutil.copytree(model_dir, folder, copy_function=shutil.copyfile)
    write_from(checkpoint, folder / DECODER, positions)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["kv_cache"] = "static"
    manifest["sizes"]["max_positions"] = positions
    manifest["files"][DECODER] = {
        "sha256": sha256_of(folder / DECODER),
        "bytes": (folder / DECODER).stat().st_size,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder
