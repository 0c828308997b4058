# SPDX-License-Identifier: Apache-2.0
"""Graphs of 8 or 4 bits without their int8 activations: as a torch model with the rounded weights, and as graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from gar_export.decoder_graph import HEAD_BITS
from gar_export.gpu_weights import quantise_symmetric
from gar_export.model import GarModel
from gar_export.quantise import BLOCK, quantise
from gar_ros.engine.runtime.ort import OrtRunner
from gar_ros.errors import ErrorCode, GarError


def round_decoder(model: GarModel, bits: int, gpu: bool = False) -> None:
    """Replaces the decoder's matrices and the output head by what their exported few bits stand for, in place.

    gpu: as gpu_weights.py rounds. A head that was tied to the embeddings is a matrix of its own afterwards.
    """
    for module in model.mllm.model.language_model.layers.modules():
        if isinstance(module, nn.Linear):
            _round(module, bits, gpu)
    _round(model.mllm.lm_head, HEAD_BITS, gpu)


def round_vision(model: GarModel, bits: int) -> None:
    """Replaces the matrices of ViT and projector by what their exported few bits stand for, in place."""
    for part in (model.vit.blocks, model.mllm.model.multi_modal_projector):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                _round(module, bits)


def _round(linear: nn.Linear, bits: int, gpu: bool = False) -> None:
    rows = linear.weight.detach().numpy()
    rounded = (quantise_symmetric(rows, bits, np.float16) if gpu else quantise(rows, bits)).rows()
    linear.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(rounded)), requires_grad=False)


def exact_runner(model_dir: Path, name: str, threads: int) -> OrtRunner:
    """A graph of a model folder with float32 activations in place of the int8 ones it is run with.

    Raises GarError INVALID_REQUEST if its weights were rounded by other blocks than an export rounds by today.
    """
    graph = onnx.load(model_dir / name, load_external_data=False)
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name == "block_size" and attribute.i != BLOCK:
                raise GarError(
                    ErrorCode.INVALID_REQUEST,
                    f"{model_dir / name}: expected weights in blocks of {BLOCK}, got blocks of {attribute.i}, as an "
                    "earlier version exported them; they can be served, but to verify them, export the model again",
                )
        kept = [attribute for attribute in node.attribute if attribute.name != "accuracy_level"]
        del node.attribute[:]
        node.attribute.extend(kept)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(model_dir))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return OrtRunner(session, "cpu")
