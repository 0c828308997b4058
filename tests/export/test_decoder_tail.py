# SPDX-License-Identifier: Apache-2.0
"""The tail of decoder graphs for GPUs: against numbers by hand, against the same decoders with logits, and the golden
checkpoints' ids through it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from gar_export.checkpoint import EMBEDDING, Weights, load_checkpoint
from gar_export.decoder_graph import DecoderWriter, write_decoder
from gar_export.decoder_tail import write_tail
from gar_export.graph import GraphBuilder
from gar_export.precision import PRECISIONS
from gar_export.static_decoder_graph import StaticDecoderWriter
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.region import Region
from tests.engine.golden import IMAGE_CASES
from tests.engine.softmax import log_softmax
from tests.engine.test_golden import without_end
from tests.export.static_folder import needs_opset_24, shortened
from tests.export.test_split_decoder import CHOICES, with_decoder
from tests.fixtures_export import ByName
from tests.fixtures_golden import FindCase

POSITIONS = 8192
"""Of a static cache."""


def tail_of(logits: np.ndarray, scored: list[int], folder: Path) -> dict[str, np.ndarray]:
    """What the tail tells of logits (B, n, V)."""
    graph = GraphBuilder("tail", folder / "tail.onnx")
    graph.input("logits", np.float32, ["batch", "kept", logits.shape[2]])
    write_tail(graph, "logits", logits.shape[2])
    graph.save()
    onnx.checker.check_model(folder / "tail.onnx", full_check=True)
    session = onnxruntime.InferenceSession(str(folder / "tail.onnx"), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    feeds = {"logits": logits.astype(np.float32), "scored_ids": np.array(scored)}
    return dict(zip(names, session.run(names, feeds), strict=True))


def test_the_lowest_of_several_largest_is_next(tmp_path: Path) -> None:
    found = tail_of(np.array([[[1, 3, 2, 3], [0, 0, 0, 0], [-5, -6, -7, -4]]]), [2, 0], tmp_path)
    assert found["next_ids"].tolist() == [[1, 0, 3]]
    assert found["next_ids"].dtype == np.int64
    np.testing.assert_array_equal(found["scored_logits"], [[[2, 1], [0, 0], [-7, -5]]])
    np.testing.assert_allclose(found["log_sums"][0, 1], np.log(4), rtol=1e-6)
    np.testing.assert_allclose(found["next_log_p"][0, 1], -np.log(4), rtol=1e-6)


@pytest.mark.parametrize("largest", [0.0, 65504.0, -65504.0])
def test_the_largest_float16_numbers_do_not_overflow(tmp_path: Path, largest: float) -> None:
    found = tail_of(np.array([[[largest, largest - 64]]]), [1], tmp_path)
    assert found["next_log_p"][0, 0] == 0
    assert found["log_sums"][0, 0] == largest
    assert found["scored_logits"][0, 0, 0] - found["log_sums"][0, 0] == -64


def test_it_tells_what_numpy_tells(tmp_path: Path) -> None:
    """Of a batch of two, for GAR-1B's vocabulary, with logits of float16, of which many are equal. ONNX Runtime sums
    them one after another in float32, which 5e-5 allows for."""
    logits = (3 * np.random.default_rng(0).standard_normal((2, 3, 128262))).astype(np.float16)
    found = tail_of(logits, [0, 7, 128261], tmp_path)
    np.testing.assert_array_equal(found["next_ids"], logits.argmax(-1))
    np.testing.assert_array_equal(found["scored_logits"], logits[..., [0, 7, 128261]])
    expected = np.stack([[log_softmax(row) for row in rows] for rows in logits.astype(np.float32)])
    np.testing.assert_allclose(found["next_log_p"], expected.max(-1), atol=5e-5)
    scored = found["scored_logits"] - found["log_sums"][..., None]
    np.testing.assert_allclose(scored, expected[..., [0, 7, 128261]], atol=5e-5)


def test_logits_that_are_no_numbers_look_up_no_token_outside_of_the_table(tmp_path: Path) -> None:
    assert tail_of(np.full((1, 1, 5), np.nan), [0], tmp_path)["next_ids"].tolist() == [[4]]


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int4-gpu"])
@pytest.mark.parametrize("model", ["checkpoint_1b", "checkpoint_8b"])
def test_the_next_embedding_is_the_row_of_the_table(
    precision: str, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """With a tied and with a separate head; of `int4-gpu` to the 8 bits of the head."""
    checkpoint: Path = request.getfixturevalue(model)
    loaded, config = load_checkpoint(checkpoint)
    chosen = PRECISIONS[precision]
    path, weights = tmp_path / DECODER, Weights(checkpoint)
    inv_freq = loaded.inv_freq.numpy()
    write_decoder(path, config, weights, inv_freq, chosen.graphs, chosen.bits, tail="tokens")
    graph = onnx.load(path).graph
    tables = [one.name for one in graph.initializer if sorted(one.dims) == sorted(weights.shape(EMBEDDING))]
    assert len(tables) == (1 if config.decoder.tied_head else 2)
    if precision == "bf16":
        return  # ONNX Runtime's CPU has no products in bfloat16
    table = weights.read(EMBEDDING).numpy()
    embeds = table[None, :5].astype(np.float16)
    empty = np.zeros((1, config.decoder.kv_heads, 0, config.decoder.head_dim), np.float16)
    feeds: dict[str, np.ndarray] = {value.name: empty for value in graph.input if value.name.startswith("past")}
    feeds |= {"inputs_embeds": embeds, "position_ids": np.arange(5)[None], "logits_idx": np.arange(5)}
    outputs = OrtRuntime("cpu", 1).load(path).run({**feeds, "scored_ids": np.array([0])})
    ids, rows = (outputs[name].numpy() for name in ("next_ids", "next_embeds"))
    assert rows.dtype == np.float16
    largest = np.abs(table).max()
    np.testing.assert_allclose(rows, table[ids], atol=largest / (100 if chosen.bits else 1000))


def test_weights_for_the_cpu_have_no_tail(checkpoint_1b: Path, tmp_path: Path) -> None:
    loaded, config = load_checkpoint(checkpoint_1b)
    with pytest.raises(ValueError, match="expected a graph for a GPU"):
        write_decoder(
            tmp_path / DECODER, config, Weights(checkpoint_1b), loaded.inv_freq.numpy(), bits=4, tail="tokens"
        )


@pytest.mark.parametrize(
    ("precision", "form", "tail"),
    [
        ("fp16", "joined", "tokens"),
        ("bf16", "static", "tokens"),
        ("int4-gpu", "joined", "tokens"),
        ("fp32", "static", "logits"),
        ("int4", "split", "logits"),
        ("fp16", "split", "logits"),
    ],
)
def test_graphs_for_gpus_have_it(precision: str, form: str, tail: str) -> None:
    assert PRECISIONS[precision].tail(form) == tail  # type: ignore[arg-type]


def decoder_with_tail(
    engine: GarEngine,
    checkpoint: Path,
    path: Path,
    writer: type[DecoderWriter] = DecoderWriter,
    dtype: type[np.floating] = np.float32,
) -> Decoder:
    """Of the checkpoint, for this engine of it."""
    loaded, config = load_checkpoint(checkpoint)
    static = writer is StaticDecoderWriter
    sizes = msgspec.structs.replace(engine.manifest.sizes, max_positions=POSITIONS)
    weights, inv_freq = Weights(checkpoint), loaded.inv_freq.numpy()
    write_decoder(path, shortened(config, POSITIONS), weights, inv_freq, dtype, writer=writer, tail="tokens")
    runner, table = OrtRuntime("cpu", 1).load(path), engine.decoder._embeddings
    return Decoder(runner, table, sizes, engine.manifest.tokens.eos, "static" if static else "joined", "tokens")


@pytest.mark.parametrize("writer", [DecoderWriter, pytest.param(StaticDecoderWriter, marks=needs_opset_24)])
@pytest.mark.parametrize("name", IMAGE_CASES)
def test_golden_ids(
    name: str,
    writer: type[DecoderWriter],
    golden_engine: Callable[[str], GarEngine],
    golden_case: FindCase,
    golden_checkpoint: ByName,
    tmp_path: Path,
) -> None:
    """Those of the released code, and the probabilities of choices that logits give."""
    case = golden_case(name)
    engine = golden_engine(case.info["checkpoint"])
    decoder = decoder_with_tail(engine, golden_checkpoint(case.info["checkpoint"]), tmp_path / DECODER, writer)
    regions = [Region.from_mask(str(index), mask) for index, mask in enumerate(case.masks)]
    whole = engine.encode(case.images[0], regions, max_tiles=case.info["max_num_tiles"])
    short = with_decoder(whole, engine, decoder)
    count = len(case.ours.generated_ids)
    answers = [
        frame.describe(max_tokens=count) if case.caption else frame.ask(case.question, max_tokens=count)
        for frame in (whole, short)
    ]
    assert list(answers[1].token_ids) == without_end(case.ours.generated_ids, engine)
    assert answers[1].confidence == pytest.approx(answers[0].confidence, rel=1e-4)
    if not case.caption:
        closed = [frame.ask(case.question, CHOICES).probabilities for frame in (whole, short)]
        np.testing.assert_allclose(closed[0], closed[1], atol=1e-5)


def test_gar_tiny_answers_as_it_does_with_logits(fp16_tiny: Path, engine: GarEngine, tmp_path: Path) -> None:
    """In float16, where the largest logits are sometimes equal."""
    model = ModelDir.open(fp16_tiny)
    assert model.manifest.tail == "tokens"
    with_tail = GarEngine.open(fp16_tiny, "cpu", threads=1)
    checkpoint = Path(model.path, model.manifest.source["checkpoint"])
    loaded, config = load_checkpoint(checkpoint)
    write_decoder(tmp_path / DECODER, config, Weights(checkpoint), loaded.inv_freq.numpy(), np.float16)
    runner, table = OrtRuntime("cpu", 1).load(tmp_path / DECODER), with_tail.decoder._embeddings
    plain = Decoder(runner, table, model.manifest.sizes, model.manifest.tokens.eos)
    image = np.random.default_rng(3).integers(0, 256, (96, 96, 3), np.uint8)
    boxes = {"a": (5, 5, 40, 50), "b": (50, 20, 90, 80)}
    frame = with_tail.encode(image, [Region.from_box(name, box, (96, 96)) for name, box in boxes.items()])
    other = with_decoder(frame, with_tail, plain)
    for question in ("What colour is <Prompt0>?", "Is <Prompt0> left of <Prompt1>?", "Describe <Prompt1>."):
        found, expected = (one.ask(question, max_tokens=24) for one in (frame, other))
        assert found.token_ids == expected.token_ids
        assert found.confidence == pytest.approx(expected.confidence, rel=1e-5)
        closed = [one.ask(question, ["red", "dark red", "a blue mug", "yes"]).probabilities for one in (frame, other)]
        np.testing.assert_allclose(closed[0], closed[1], atol=1e-5)
    ids = list(range(3, 60))
    logits = [one.prefill_logits(one.empty, one.embed(ids), never_cancelled)[1] for one in (with_tail.decoder, plain)]
    np.testing.assert_array_equal(logits[0], logits[1])
