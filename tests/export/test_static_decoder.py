# SPDX-License-Identifier: Apache-2.0
"""The decoder with a static KV cache against torch and against the joined one, up to the golden checkpoints' ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gar_export.checkpoint import Weights
from gar_export.decoder_graph import write_decoder
from gar_export.model import GarModel
from gar_export.static_decoder_graph import StaticDecoderWriter
from gar_ros.engine import decoder as decoder_module
from gar_ros.engine import static_cache
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import JoinedForm
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.steps import run_to_end
from gar_ros.region import Region
from tests.engine.golden import IMAGE_CASES
from tests.engine.test_golden import without_end
from tests.export.static_folder import needs_opset_24, shortened, write_from
from tests.export.test_split_decoder import CHOICES, with_decoder
from tests.fixtures_export import ByName
from tests.fixtures_golden import FindCase

pytestmark = needs_opset_24

LOGITS = 3e-3
LAYERS, KV_HEADS, HEAD_DIM, HIDDEN = 2, 2, 8, 32
CAPACITY = 12
POSITIONS = 8192
"""Of the engines' caches."""
NAMES = [f"{layer}.{kind}" for layer in range(LAYERS) for kind in ("key", "value")]

Arrays = dict[str, np.ndarray]


def feeds(embeds: np.ndarray, starts: list[int], rows: list[int], past: Arrays | None = None) -> Arrays:
    """Inputs for embeddings (B, S, H), each row of which goes on from one of `starts`, after `past`, an output."""
    batch, length = embeds.shape[:2]
    empty = np.zeros((batch, KV_HEADS, CAPACITY, HEAD_DIM), embeds.dtype)
    cache = {f"past_key_values.{name}": past[f"present.{name}"] if past else empty for name in NAMES}
    positions = np.array(starts)[:, None] + np.arange(length)
    keys = np.arange(min(max(starts) + length + 1, CAPACITY))
    new = {"inputs_embeds": embeds, "position_ids": positions, "logits_idx": np.array(rows)}
    return {**new, "key_positions": keys, **cache}


def run(path: Path, inputs: Arrays) -> Arrays:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.mark.parametrize("name", ["small_1b", "small_8b"])
def test_static_decoder_equals_torch(
    models: dict[str, GarModel], small_checkpoint: ByName, name: str, tmp_path: Path
) -> None:
    """At once, in pieces, the chosen rows only, rows of a batch at different positions, and after rewinding."""
    model, path = models[name], tmp_path / DECODER
    config = shortened(model.config, CAPACITY)
    write_decoder(path, config, Weights(small_checkpoint(name)), model.inv_freq.numpy(), writer=StaticDecoderWriter)
    onnx.checker.check_model(path, full_check=True)
    embeds = torch.randn(2, 9, HIDDEN, generator=torch.Generator().manual_seed(0)) * 0.5
    expected = model.decode(embeds, torch.arange(9).expand(2, 9)).numpy()
    values = embeds.numpy()

    whole = run(path, feeds(values, [0, 0], list(range(9))))
    assert np.abs(whole["logits"] - expected).max() <= LOGITS
    assert whole["present.1.key"].shape == (2, KV_HEADS, CAPACITY, HEAD_DIM)
    assert not whole["present.1.key"][:, :, 9:].any()

    six = run(path, feeds(values[:, :6], [0, 0], [5, 0]))
    assert np.abs(six["logits"] - expected[:, [5, 0]]).max() <= LOGITS
    shifted = np.stack([values[0, 4:7], values[1, 6:9]])
    rest = run(path, feeds(shifted, [4, 6], [2], six))
    assert np.abs(rest["logits"][:, 0] - expected[[0, 1], [6, 8]]).max() <= LOGITS

    elsewhere = run(path, feeds(values[:, 5::-1].copy(), [6, 6], [0], six))
    rewound = run(path, feeds(values[:, 6:7], [6, 6], [0], elsewhere))
    assert np.abs(rewound["logits"] - expected[:, 6:7]).max() <= LOGITS


def test_half_precision_is_near(models: dict[str, GarModel], checkpoint_1b: Path, tmp_path: Path) -> None:
    model, path = models["small_1b"], tmp_path / DECODER
    config = shortened(model.config, CAPACITY)
    write_decoder(path, config, Weights(checkpoint_1b), model.inv_freq.numpy(), np.float16, writer=StaticDecoderWriter)
    onnx.checker.check_model(path, full_check=True)
    embeds = torch.randn(1, 6, HIDDEN, generator=torch.Generator().manual_seed(1)) * 0.5
    found = run(path, feeds(embeds.numpy().astype(np.float16), [0], [5]))
    expected = model.decode(embeds, torch.arange(6)[None])[:, 5:].numpy()
    assert found["present.0.key"].dtype == np.float16
    assert 0 < np.abs(found["logits"] - expected).max() < 0.02 * np.abs(expected).max()


def test_the_cache_is_written_where_it_is(checkpoint_1b: Path, tmp_path: Path) -> None:
    write_from(checkpoint_1b, tmp_path / DECODER, CAPACITY)
    runner = OrtRuntime("cpu", 1).load(tmp_path / DECODER)
    embeds = np.random.default_rng(0).standard_normal((1, 3, HIDDEN)).astype(np.float32)
    inputs = feeds(embeds, [4], [2])
    for name in NAMES:
        zeros = runner.zeros(f"past_key_values.{name}", (1, KV_HEADS, CAPACITY, HEAD_DIM))
        inputs[f"past_key_values.{name}"] = on_host(zeros)
    before = runner.run(inputs)
    assert not any(inputs[f"past_key_values.{name}"].any() for name in NAMES)
    outputs = runner.run_in_place(inputs, {f"present.{name}": f"past_key_values.{name}" for name in NAMES})
    np.testing.assert_array_equal(outputs["logits"].numpy(), before["logits"].numpy())
    for name in NAMES:
        cache = inputs[f"past_key_values.{name}"]
        assert outputs[f"present.{name}"].data_ptr() == cache.ctypes.data  # type: ignore[attr-defined]
        np.testing.assert_array_equal(cache, before[f"present.{name}"].numpy())
        assert np.flatnonzero(cache.any(axis=(0, 1, 3))).tolist() == [4, 5, 6]


@pytest.fixture(scope="module")
def gar_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny's decoder with a static cache."""
    path = tmp_path_factory.mktemp("static") / DECODER
    write_from(default_model_dir() / "checkpoint", path, POSITIONS)
    return path


def static_decoder(engine: GarEngine, path: Path, end: tuple[int, ...] | None = None) -> Decoder:
    """The decoder graph `path` for this engine. end: its own or the engine's end tokens."""
    sizes, tokens = msgspec.structs.replace(engine.manifest.sizes, max_positions=POSITIONS), engine.manifest.tokens
    runner = OrtRuntime("cpu", 1).load(path)
    return Decoder(runner, engine.decoder._embeddings, sizes, tokens.eos if end is None else end, "static")


@pytest.fixture
def endless(engine: GarEngine, gar_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> list[Decoder]:
    """gar-tiny's decoder with a joined and with a static cache. No token ends their texts, prompts are read in pieces,
    and the number of keys that are read changes often."""
    monkeypatch.setattr(static_cache, "KEYS_STEP", 32)
    monkeypatch.setattr(decoder_module, "CHUNK", 50)
    form = engine.decoder._form
    assert isinstance(form, JoinedForm)
    joined = Decoder(form._runner, engine.decoder._embeddings, engine.manifest.sizes, ())
    return [joined, static_decoder(engine, gar_tiny, ())]


def test_long_texts_are_equal(endless: list[Decoder]) -> None:
    prompt = np.random.default_rng(0).integers(0, 600, 120).tolist()
    texts = []
    for decoder in endless:
        cache, logits = decoder.prefill(decoder.empty, decoder.embed(prompt), never_cancelled)
        texts.append(run_to_end(decoder.generate(cache, logits, 180, never_cancelled)))
    assert texts[0].ids == texts[1].ids
    assert texts[0].mean_log_p == pytest.approx(texts[1].mean_log_p, rel=1e-4)


def test_a_beginning_goes_on_as_the_joined_one(endless: list[Decoder]) -> None:
    ids = np.random.default_rng(1).integers(0, 600, 168).tolist()
    found = []
    for decoder in endless:
        cache, logits = decoder.prefill_logits(decoder.empty, decoder.embed(ids), never_cancelled)
        for length in (1, 127, 150):
            beginning = decoder.beginning(cache, length)
            assert beginning.length == length
            _, again = decoder.prefill_logits(beginning, decoder.embed(ids[length:]), never_cancelled)
            np.testing.assert_allclose(again, logits, atol=2e-4)
        found.append(logits)
    np.testing.assert_allclose(found[0], found[1], atol=2e-4)


def test_choices_have_the_same_likelihoods(endless: list[Decoder]) -> None:
    answers = [[5, 6, 7], [5, 6], [5, 9, 10, 11], [12], [13, 5]]
    ids = np.random.default_rng(2).integers(0, 600, 126).tolist()
    found = []
    for decoder in endless:
        cache, logits = decoder.prefill(decoder.empty, decoder.embed(ids), never_cancelled)
        found += [decoder.log_likelihoods(cache, logits, answers, never_cancelled) for _ in range(2)]
    np.testing.assert_allclose(found[0], found[2], atol=1e-4)
    np.testing.assert_array_equal(found[2], found[3])


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_golden_ids(
    name: str,
    golden_engine: Callable[[str], GarEngine],
    golden_case: FindCase,
    golden_checkpoint: ByName,
    tmp_path: Path,
) -> None:
    """Those of the released code; and the joined cache's probabilities of choices."""
    case = golden_case(name)
    engine = golden_engine(case.info["checkpoint"])
    write_from(golden_checkpoint(case.info["checkpoint"]), tmp_path / DECODER, POSITIONS)
    regions = [Region.from_mask(str(index), mask) for index, mask in enumerate(case.masks)]
    joined = engine.encode(case.images[0], regions, max_tiles=case.info["max_num_tiles"])
    static = with_decoder(joined, engine, static_decoder(engine, tmp_path / DECODER))
    count = len(case.ours.generated_ids)
    answers = [
        frame.describe(max_tokens=count) if case.caption else frame.ask(case.question, max_tokens=count)
        for frame in (joined, static)
    ]
    assert answers[0].token_ids == answers[1].token_ids
    assert list(answers[1].token_ids) == without_end(case.ours.generated_ids, engine)
    if not case.caption:
        closed = [frame.ask(case.question, CHOICES) for frame in (joined, static)]
        np.testing.assert_allclose(closed[0].probabilities, closed[1].probabilities, atol=1e-4)


def test_export_writes_it_and_the_engine_opens_it(static_1b: Path, exported_1b: Path) -> None:
    manifest = ModelDir.open(static_1b).manifest
    assert (manifest.kv_cache, manifest.sizes.max_positions) == ("static", 4096)
    cache = onnx.load(static_1b / DECODER).graph.input[4]
    assert (cache.name, cache.type.tensor_type.shape.dim[2].dim_value) == ("past_key_values.0.value", 4096)
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    region = Region.from_box("a", (5, 5, 40, 40), (64, 64))
    answers = []
    for folder in (exported_1b, static_1b):
        engine = GarEngine.open(folder, "cpu", threads=1)
        answers.append(engine.encode(image, [region], max_tiles=1).describe(max_tokens=4).token_ids)
    assert answers[0] == answers[1]
