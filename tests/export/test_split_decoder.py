# SPDX-License-Identifier: Apache-2.0
"""The decoder with a split KV cache against the joined one: gar-tiny's and the golden checkpoints' answers."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_export.checkpoint import Weights, load_checkpoint
from gar_export.decoder_graph import write_decoder
from gar_export.split_decoder_graph import SplitDecoderWriter
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import LONGEST_RECENT, JoinedForm, KvCache
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.engine.steps import run_to_end
from gar_ros.region import Region
from tests.engine.golden import IMAGE_CASES
from tests.fixtures_export import ByName
from tests.fixtures_golden import FindCase

CHOICES = ["red", "green", "dark green", "the left one", "the left one of the two"]


def split_decoder(engine: GarEngine, checkpoint: Path, folder: Path, end: tuple[int, ...] | None = None) -> Decoder:
    """The checkpoint's decoder in float32 with a split cache; end: its own or the engine's end tokens."""
    model, config = load_checkpoint(checkpoint)
    write_decoder(
        folder / "decoder.onnx", config, Weights(checkpoint), model.inv_freq.numpy(), writer=SplitDecoderWriter
    )
    runner = OrtRuntime("cpu", 1).load(folder / "decoder.onnx")
    sizes, tokens = engine.manifest.sizes, engine.manifest.tokens
    return Decoder(runner, engine.decoder._embeddings, sizes, tokens.eos if end is None else end, "split")


def with_decoder(frame: EncodedFrame, engine: GarEngine, decoder: Decoder) -> EncodedFrame:
    other = copy(frame)
    other._language, other._prefixes = replace(engine.language, decoder=decoder), {}
    return other


@pytest.fixture(scope="module")
def endless(engine: GarEngine, tmp_path_factory: pytest.TempPathFactory) -> list[Decoder]:
    """gar-tiny's decoder with both caches; no token ends its texts."""
    form = engine.decoder._form
    assert isinstance(form, JoinedForm)
    joined = Decoder(form._runner, engine.decoder._embeddings, engine.manifest.sizes, ())
    folder = tmp_path_factory.mktemp("split")
    return [joined, split_decoder(engine, default_model_dir() / "checkpoint", folder, ())]


def test_long_texts_are_equal_when_the_recent_part_settles_between(endless: list[Decoder]) -> None:
    prompt = np.random.default_rng(0).integers(0, 600, LONGEST_RECENT // 2).tolist()
    texts, caches = [], []
    for decoder in endless:
        cache, logits = decoder.prefill(decoder.empty, decoder.embed(prompt), never_cancelled)
        texts.append(run_to_end(decoder.generate(cache, logits, 2 * LONGEST_RECENT, never_cancelled)))
        ids = decoder.embed([*prompt, *texts[-1].ids])
        caches.append(decoder.prefill(cache, ids[len(prompt) :], never_cancelled)[0])
    assert texts[0].ids == texts[1].ids
    assert texts[0].mean_log_p == pytest.approx(texts[1].mean_log_p, rel=1e-4)
    assert caches[0].nbytes == caches[1].nbytes
    assert caches[1].recent == 0


def test_a_cache_in_two_parts_goes_on_like_one(endless: list[Decoder]) -> None:
    """What follows a beginning of it, too, wherever that ends."""
    ids = np.random.default_rng(1).integers(0, 600, LONGEST_RECENT + 40).tolist()
    expected: dict[int, NDArray[np.float32]] = {}
    for decoder in endless:
        cache = read(decoder, ids[:LONGEST_RECENT])
        cache, logits = decoder.prefill_logits(cache, decoder.embed(ids[LONGEST_RECENT:]), never_cancelled)
        for length in (LONGEST_RECENT - 1, LONGEST_RECENT, LONGEST_RECENT + 7):
            beginning = decoder.beginning(cache, length)
            assert beginning.length == length
            _, again = decoder.prefill_logits(beginning, decoder.embed(ids[length:]), never_cancelled)
            np.testing.assert_allclose(again, logits, atol=2e-4)
            np.testing.assert_allclose(again, expected.setdefault(length, again), atol=2e-4)
    assert cache.recent == 40


def test_choices_have_the_same_likelihoods(endless: list[Decoder]) -> None:
    answers = [[5, 6, 7], [5, 6], [5, 9, 10, 11], [12], [13, 5]]
    ids = np.random.default_rng(2).integers(0, 600, LONGEST_RECENT + 9).tolist()
    found = []
    for decoder in endless:
        cache, logits = decoder.prefill(read(decoder, ids), decoder.embed([3]), never_cancelled)
        found.append(decoder.log_likelihoods(cache, logits, answers, never_cancelled))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def read(decoder: Decoder, ids: list[int]) -> KvCache:
    return decoder.prefill(decoder.empty, decoder.embed(ids), never_cancelled)[0]


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_golden_answers(
    name: str,
    golden_engine: Callable[[str], GarEngine],
    golden_case: FindCase,
    golden_checkpoint: ByName,
    tmp_path: Path,
) -> None:
    case = golden_case(name)
    engine = golden_engine(case.info["checkpoint"])
    decoder = split_decoder(engine, golden_checkpoint(case.info["checkpoint"]), tmp_path)
    regions = [Region.from_mask(str(index), mask) for index, mask in enumerate(case.masks)]
    joined = engine.encode(case.images[0], regions, max_tiles=case.info["max_num_tiles"])
    split = with_decoder(joined, engine, decoder)
    count = len(case.ours.generated_ids)
    answers = [
        frame.describe(max_tokens=count) if case.caption else frame.ask(case.question, max_tokens=count)
        for frame in (joined, split)
    ]
    assert answers[0].token_ids == answers[1].token_ids
    if not case.caption:
        closed = [frame.ask(case.question, CHOICES) for frame in (joined, split)]
        np.testing.assert_allclose(closed[0].probabilities, closed[1].probabilities, atol=1e-4)
