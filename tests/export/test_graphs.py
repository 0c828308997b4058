# SPDX-License-Identifier: Apache-2.0
"""The exported graphs in ONNX Runtime against the torch model they were made from."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gar_export import decoder_graph, vision_graph
from gar_export.checkpoint import Weights
from gar_export.decoder_graph import write_decoder
from gar_export.graph import GraphBuilder
from gar_export.model import GarModel
from gar_export.replay_graph import write_replay
from gar_export.split_decoder_graph import SplitDecoderWriter
from gar_export.vision_graph import write_vision
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.tiling import normalise

NAMES = ("small_1b", "small_8b")
FEATURES, REPLAY_TOLERANCE, LOGITS = 2e-5, 1e-5, 3e-3
LAYERS, KV_HEADS, HEAD_DIM, HIDDEN, VOCAB = 2, 2, 8, 32, 128262

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folders(checkpoint_1b: Path, checkpoint_8b: Path) -> dict[str, Path]:
    return {folder.name: folder for folder in (checkpoint_1b, checkpoint_8b)}


def run(path: Path, feeds: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


def decoder_feeds(embeds: np.ndarray, rows: list[int], past: Arrays | None = None) -> Arrays:
    """Inputs for embeddings (B, S, H) after `past`, the outputs of an earlier call."""
    batch, length = embeds.shape[:2]
    empty = np.zeros((batch, KV_HEADS, 0, HEAD_DIM), embeds.dtype)
    names = [f"{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]
    cache = {f"past_key_values.{name}": past[f"present.{name}"] if past else empty for name in names}
    start = cache["past_key_values.0.key"].shape[2]
    positions = np.tile(np.arange(start, start + length), (batch, 1))
    return {"inputs_embeds": embeds, "position_ids": positions, "logits_idx": np.array(rows), **cache}


def split_feeds(
    embeds: np.ndarray, rows: list[int], settled: Arrays | None = None, recent: Arrays | None = None
) -> Arrays:
    """Inputs for embeddings (B, S, H) after two parts, each the outputs of an earlier call."""
    batch, length = embeds.shape[:2]
    names = [f"{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]
    cache = {}
    for part, size, present in (("past_key_values", 1, settled), ("recent", batch, recent)):
        empty = np.zeros((size, KV_HEADS, 1, 0, HEAD_DIM), np.float32)
        cache.update({f"{part}.{name}": present[f"present.{name}"] if present else empty for name in names})
    start = cache["past_key_values.0.key"].shape[3] + cache["recent.0.key"].shape[3]
    positions = np.tile(np.arange(start, start + length), (batch, 1))
    return {"inputs_embeds": embeds, "position_ids": positions, "logits_idx": np.array(rows), **cache}


@pytest.mark.parametrize("name", NAMES)
def test_vision_equals_torch_for_any_number_of_tiles(models: dict[str, GarModel], name: str, tmp_path: Path) -> None:
    model, path = models[name], tmp_path / VISION
    write_vision(path, model)
    onnx.checker.check_model(path, full_check=True)
    generator = torch.Generator().manual_seed(0)
    for tiles in (1, 3):
        pixels = torch.randint(0, 256, (tiles, 3, 448, 448), dtype=torch.uint8, generator=generator)
        mask = torch.randint(0, 2, (tiles, 1, 448, 448), dtype=torch.uint8, generator=generator)
        found = run(path, {"pixel_values": pixels.numpy(), "mask_values": mask.numpy()})["image_features"]
        values = normalise(pixels.numpy(), model.config.mean, model.config.std)
        expected = model.encode_tiles(torch.from_numpy(values), mask.float()).numpy()
        assert found.shape == (tiles, 256, HIDDEN)
        assert np.abs(found - expected).max() <= FEATURES


@pytest.mark.parametrize("name", NAMES)
def test_decoder_equals_torch(models: dict[str, GarModel], folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    """A batch of two at once, the chosen rows only, and in two pieces through the KV cache."""
    model, path = models[name], tmp_path / DECODER
    write_decoder(path, model.config, Weights(folders[name]), model.inv_freq.numpy())
    onnx.checker.check_model(path, full_check=True)
    embeds = torch.randn(2, 9, HIDDEN, generator=torch.Generator().manual_seed(0)) * 0.5
    expected = model.decode(embeds, torch.arange(9).expand(2, 9)).numpy()

    whole = run(path, decoder_feeds(embeds.numpy(), list(range(9))))
    assert whole["logits"].shape == (2, 9, VOCAB)
    assert np.abs(whole["logits"] - expected).max() <= LOGITS

    prefill = run(path, decoder_feeds(embeds[:, :6].numpy(), [5, 0]))
    assert np.abs(prefill["logits"] - expected[:, [5, 0]]).max() <= LOGITS
    assert prefill["present.1.value"].shape == (2, KV_HEADS, 6, HEAD_DIM)

    rest = run(path, decoder_feeds(embeds[:, 6:].numpy(), [0, 1, 2], prefill))
    assert np.abs(rest["logits"] - expected[:, 6:]).max() <= LOGITS
    np.testing.assert_allclose(rest["present.1.key"], whole["present.1.key"], atol=1e-5)


def test_decoder_in_half_precision(models: dict[str, GarModel], checkpoint_1b: Path, tmp_path: Path) -> None:
    model, path = models["small_1b"], tmp_path / DECODER
    write_decoder(path, model.config, Weights(checkpoint_1b), model.inv_freq.numpy(), np.float16)
    onnx.checker.check_model(path, full_check=True)
    embeds = torch.randn(1, 6, HIDDEN, generator=torch.Generator().manual_seed(1)) * 0.5
    found = run(path, decoder_feeds(embeds.numpy().astype(np.float16), [5]))
    expected = model.decode(embeds, torch.arange(6)[None])[:, 5:].numpy()
    assert found["logits"].dtype == np.float32
    assert found["present.0.key"].dtype == np.float16
    assert 0 < np.abs(found["logits"] - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_split_decoder_equals_torch(
    models: dict[str, GarModel], folders: dict[str, Path], name: str, tmp_path: Path
) -> None:
    """With nothing before, after a settled part, after a recent part, after both, and a batch of two after both."""
    model, path = models[name], tmp_path / DECODER
    write_decoder(path, model.config, Weights(folders[name]), model.inv_freq.numpy(), writer=SplitDecoderWriter)
    onnx.checker.check_model(path, full_check=True)
    embeds = torch.randn(2, 9, HIDDEN, generator=torch.Generator().manual_seed(0)) * 0.5
    embeds[1, :6] = embeds[0, :6]
    expected = model.decode(embeds, torch.arange(9).expand(2, 9)).numpy()
    first = embeds[:1].numpy()

    whole = run(path, split_feeds(first, [0, 8]))
    assert np.abs(whole["logits"] - expected[:1, [0, 8]]).max() <= LOGITS
    four = run(path, split_feeds(first[:, :4], [3]))
    for settled, recent in ((four, None), (None, four)):
        two = run(path, split_feeds(first[:, 4:6], [0, 1], settled, recent))
        assert np.abs(two["logits"] - expected[:1, 4:6]).max() <= LOGITS
    assert two["present.0.key"].shape == (1, KV_HEADS, 1, 6, HEAD_DIM)
    np.testing.assert_allclose(two["present.1.value"], whole["present.1.value"][..., :6, :], atol=1e-5)

    recent = run(path, split_feeds(first[:, 4:6], [1], four))
    twice = {name: np.repeat(value, 2, axis=0) for name, value in recent.items()}
    rest = run(path, split_feeds(embeds[:, 6:].numpy(), [0, 1, 2], four, twice))
    assert np.abs(rest["logits"] - expected[:, 6:]).max() <= LOGITS


@pytest.mark.parametrize("grid", [(1, 1), (3, 2)])
def test_replay_equals_torch(models: dict[str, GarModel], grid: tuple[int, int], tmp_path: Path) -> None:
    model, path, (tiles_w, tiles_h) = models["small_1b"], tmp_path / REPLAY, grid
    write_replay(path, model.config)
    onnx.checker.check_model(path, full_check=True)
    features = torch.randn(tiles_w * tiles_h, 256, HIDDEN)
    wy, wx = torch.rand(4, 16, 16 * tiles_h), torch.rand(4, 16, 16 * tiles_w)
    wy, wx = wy / wy.sum(-1, keepdim=True), wx / wx.sum(-1, keepdim=True)
    found = run(path, {"tile_features": features.numpy(), "wy": wy.numpy(), "wx": wx.numpy()})["replay"]
    assert found.shape == (4, 256, HIDDEN)
    assert np.abs(found - model.replay(features, grid, wy, wx).numpy()).max() <= REPLAY_TOLERANCE


def test_large_graphs_keep_their_weights_beside(
    models: dict[str, GarModel], checkpoint_1b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs are those of the graphs in one file."""
    model = models["small_1b"]
    pixels, mask = np.full((1, 3, 448, 448), 200, np.uint8), np.ones((1, 1, 448, 448), np.uint8)
    feeds = {
        VISION: {"pixel_values": pixels, "mask_values": mask},
        DECODER: decoder_feeds(np.full((1, 3, HIDDEN), 0.1, np.float32), [2]),
    }
    results: list[list[Arrays]] = []
    for limit in (1 << 40, 0):
        monkeypatch.setattr(vision_graph, "EXTERNAL_DATA_BYTES", limit)
        monkeypatch.setattr(decoder_graph, "EXTERNAL_DATA_BYTES", limit)
        write_vision(tmp_path / VISION, model)
        write_decoder(tmp_path / DECODER, model.config, Weights(checkpoint_1b), model.inv_freq.numpy())
        results.append([run(tmp_path / name, feeds[name]) for name in feeds])
    for name in (VISION, DECODER):
        assert (tmp_path / f"{name}.data").stat().st_size > 2_000_000
        assert (tmp_path / name).stat().st_size < 200_000
    for single, external in zip(*results, strict=True):
        for output, value in single.items():
            np.testing.assert_array_equal(value, external[output])


@pytest.mark.parametrize("exported", ["exported_1b", "fp16_1b"])
@pytest.mark.parametrize("name", [VISION, REPLAY, DECODER])
def test_graphs_have_plain_operators_and_no_traces_of_this_machine(
    request: pytest.FixtureRequest, exported: str, name: str
) -> None:
    model = onnx.load(request.getfixturevalue(exported) / name)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert not model.functions
    graph = model.graph
    parts: list[Any] = [model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    assert not any(part.doc_string or len(part.metadata_props) for part in parts)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        (VISION, ["pixel_values", "mask_values"], ["image_features"]),
        (REPLAY, ["tile_features", "wy", "wx"], ["replay"]),
        (
            DECODER,
            ["inputs_embeds", "position_ids", "logits_idx"]
            + [f"past_key_values.{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")],
            ["logits"] + [f"present.{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")],
        ),
    ],
)
def test_tensor_names(exported_1b: Path, name: str, inputs: list[str], outputs: list[str]) -> None:
    graph = onnx.load(exported_1b / name).graph
    assert [value.name for value in graph.input] == inputs
    assert [value.name for value in graph.output] == outputs


@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.485, 0.456, 0.406)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_vision_normalises_as_the_host_does(
    models: dict[str, GarModel], mean: tuple[float, float, float], dtype: torch.dtype, tmp_path: Path
) -> None:
    """All 256 levels of each channel, to the last bit of what the convolution gets."""
    model = copy.deepcopy(models["small_1b"]).to(dtype)
    model.config = replace(model.config, mean=mean, std=(0.229, 0.224, 0.225))
    write_vision(tmp_path / VISION, model)
    graph = onnx.load(tmp_path / VISION)
    (cast,) = [node for node in graph.graph.node if "pixel_values" in node.input]
    assert (cast.op_type, cast.attribute[0].i) == ("Cast", onnx.TensorProto.FLOAT)
    kernel = next(one.name for one in graph.graph.initializer if one.name.endswith("patch_embed.proj.weight"))
    (convolution,) = [node for node in graph.graph.node if kernel in node.input]
    graph.graph.output[0].CopyFrom(onnx.ValueInfoProto(name=convolution.input[0]))
    onnx.save(graph, tmp_path / "cut.onnx")

    levels = np.resize(np.arange(256, dtype=np.uint8), (1, 3, 448, 448))
    found = run(tmp_path / "cut.onnx", {"pixel_values": levels, "mask_values": levels[:, :1]})[convolution.input[0]]
    expected = normalise(levels, mean, model.config.std).astype(found.dtype)
    assert found.dtype == (np.float16 if dtype == torch.float16 else np.float32)
    np.testing.assert_array_equal(found, expected)


def test_the_mask_kernel_is_one_constant_channel(exported_1b: Path, models: dict[str, GarModel]) -> None:
    graph = onnx.load(exported_1b / VISION).graph
    (cast,) = [node for node in graph.node if "mask_values" in node.input]
    (convolution,) = [node for node in graph.node if node.op_type == "Conv" and cast.output[0] in node.input]
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    expected = models["small_1b"].mask_patch_embedding.weight.sum(1, keepdim=True).numpy()
    np.testing.assert_allclose(constants[convolution.input[1]], expected, atol=1e-7)


def test_the_builder_refuses_a_weight_twice_and_shares_small_constants(tmp_path: Path) -> None:
    graph = GraphBuilder("test", tmp_path / "test.onnx")
    assert graph.const([1, 2]) == graph.const([1, 2])
    assert graph.const([1, 2]) != graph.const([[1, 2]])
    graph.weight("w", np.zeros(1))
    with pytest.raises(ValueError, match="'w' already"):
        graph.weight("w", np.zeros(1))
