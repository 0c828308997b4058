# SPDX-License-Identifier: Apache-2.0
"""Prefill, greedy text and likelihoods on a decoder small enough to compute by hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine import decoder as decoder_module
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.following import Following, OfLogits, log_p_of
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.engine.steps import run_to_end
from gar_ros.errors import ErrorCode, GarError
from tests.engine.fakes import HostTensor
from tests.engine.softmax import log_softmax

VOCAB, HIDDEN, END = 6, 3, (5,)
SIZES = Sizes(
    tile=1,
    patch=1,
    grid=1,
    hidden=HIDDEN,
    layers=1,
    heads=1,
    kv_heads=1,
    head_dim=HIDDEN,
    vocab=VOCAB,
    max_positions=99,
)
RANDOM = np.random.default_rng(3)
EMBEDDINGS = RANDOM.standard_normal((VOCAB, HIDDEN)).astype(np.float32)
HEAD = 3 * RANDOM.standard_normal((HIDDEN, VOCAB)).astype(np.float32)


class SumDecoder:
    """Logits = (sum of embedding * (1 + position) over all positions so far) @ HEAD; keys hold the embeddings."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def run(self, feeds: Mapping[str, Any]) -> dict[str, HostTensor]:
        past = feeds["past_key_values.0.key"]
        past = past if isinstance(past, np.ndarray) else past.numpy()
        weighted = feeds["inputs_embeds"] * (1 + feeds["position_ids"][..., None])
        present = np.concatenate([past[:, 0], weighted], 1)
        self.runs.append(weighted.shape[1])
        logits = present.cumsum(1)[:, past.shape[2] :] @ HEAD
        return {
            "logits": HostTensor(logits[:, feeds["logits_idx"]].astype(np.float32)),
            "present.0.key": HostTensor(present[:, None]),
            "present.0.value": HostTensor(present[:, None]),
        }

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(np.float32)


def by_hand(ids: Sequence[int]) -> NDArray[np.float64]:
    """Log probabilities of the token after `ids`."""
    logits = (EMBEDDINGS[list(ids)] * np.arange(1, len(ids) + 1)[:, None]).sum(0) @ HEAD
    return log_softmax(logits)


def never_cancelled() -> None:
    pass


@pytest.fixture
def runner() -> SumDecoder:
    return SumDecoder()


@pytest.fixture
def decoder(runner: SumDecoder) -> Decoder:
    return Decoder(runner, EMBEDDINGS, SIZES, END)


def read(decoder: Decoder, ids: Sequence[int], past: KvCache | None = None) -> tuple[KvCache, Following]:
    return decoder.prefill(past or decoder.empty, decoder.embed(ids), never_cancelled)


def logits_after(decoder: Decoder, ids: Sequence[int], past: KvCache | None = None) -> NDArray[np.float32]:
    return read(decoder, ids, past)[1].logits()


def test_prefill_gives_the_next_token(decoder: Decoder) -> None:
    cache, following = read(decoder, [0, 3, 1])
    assert cache.length == 3
    np.testing.assert_allclose(log_softmax(following.logits()), by_hand([0, 3, 1]), rtol=1e-4)


def test_prefill_in_pieces_equals_prefill_at_once(
    decoder: Decoder, runner: SumDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = logits_after(decoder, [0, 3, 1, 2, 4])
    monkeypatch.setattr(decoder_module, "CHUNK", 2)
    in_pieces = logits_after(decoder, [0, 3, 1, 2, 4])
    assert runner.runs == [5, 2, 2, 1]
    np.testing.assert_allclose(in_pieces, at_once, rtol=1e-5)


def test_a_shared_prefix_is_not_changed_by_what_follows(decoder: Decoder) -> None:
    prefix, _ = read(decoder, [0, 3])
    first = logits_after(decoder, [1, 2], prefix)
    read(decoder, [4, 4, 4], prefix)
    again = logits_after(decoder, [1, 2], prefix)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(log_softmax(first), by_hand([0, 3, 1, 2]), rtol=1e-4)


def test_greedy_text_is_the_likeliest_token_each_time(decoder: Decoder) -> None:
    cache, following = read(decoder, [0, 3, 1])
    generated = run_to_end(decoder.generate(cache, following, 12, never_cancelled))
    ids = [0, 3, 1]
    log_p: list[float] = []
    while len(log_p) < 12:
        expected = by_hand(ids)
        log_p.append(float(expected.max()))
        if int(expected.argmax()) in END:
            break
        ids.append(int(expected.argmax()))
    assert generated.ids == tuple(ids[3:])
    assert generated.complete == (len(ids) - 3 < 12)
    assert generated.mean_log_p == pytest.approx(np.mean(log_p))


def test_the_end_token_ends_the_text_and_is_not_part_of_it(decoder: Decoder) -> None:
    certain = np.full(VOCAB, -50, np.float32)
    certain[END[0]] = 0
    generated = run_to_end(decoder.generate(decoder.empty, OfLogits(certain, decoder.embed), 3, never_cancelled))
    assert (generated.ids, generated.complete) == ((), True)
    assert generated.mean_log_p == pytest.approx(0)


def test_the_token_limit_cuts_without_a_needless_run(decoder: Decoder, runner: SumDecoder) -> None:
    cache, _ = read(decoder, [0])
    zero = OfLogits(np.array([9, 0, 0, 0, 0, 0], np.float32), decoder.embed)
    generated = run_to_end(decoder.generate(cache, zero, 1, never_cancelled))
    assert (generated.ids, generated.complete) == ((0,), False)
    assert runner.runs == [1]


def test_likelihoods_are_the_products_of_the_tokens_probabilities(decoder: Decoder) -> None:
    asked = [0, 3, 1]
    cache, following = read(decoder, asked)
    answers = [[2], [1, 4], [1, 0, 2]]
    scores = decoder.log_likelihoods(cache, following, answers, never_cancelled)
    expected = [sum(by_hand(asked + ids[:n])[ids[n]] for n in range(len(ids))) for ids in answers]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_an_answer_that_begins_another_is_scored_with_its_end(decoder: Decoder) -> None:
    asked = [0, 3, 1]
    cache, following = read(decoder, asked)
    answers = [[1], [1, 4], [2]]
    scores = decoder.log_likelihoods(cache, following, answers, never_cancelled)
    ended = [[*ids, END[0]] for ids in answers]
    expected = [sum(by_hand(asked + ids[:n])[ids[n]] for n in range(len(ids))) for ids in ended]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_any_end_token_ends_an_answer(runner: SumDecoder) -> None:
    decoder = Decoder(runner, EMBEDDINGS, SIZES, (4, 5))
    cache, following = read(decoder, [0])
    one, _ = decoder.log_likelihoods(cache, following, [[1], [1, 2]], never_cancelled)
    expected = by_hand([0, 1])
    assert one == pytest.approx(by_hand([0])[1] + np.log(np.exp(expected[4]) + np.exp(expected[5])), rel=1e-4)


def test_all_answers_of_a_length_sum_to_one(decoder: Decoder) -> None:
    cache, following = read(decoder, [0])
    answers = [list(ids) for ids in itertools.product(range(VOCAB), repeat=2)]
    assert np.exp(decoder.log_likelihoods(cache, following, answers, never_cancelled)).sum() == pytest.approx(1)


def test_single_token_answers_cost_no_run(decoder: Decoder, runner: SumDecoder) -> None:
    cache, following = read(decoder, [0, 3, 1])
    decoder.log_likelihoods(cache, following, [[1], [2], [3]], never_cancelled)
    assert runner.runs == [3]


def test_a_check_stops_between_two_tokens(decoder: Decoder, runner: SumDecoder) -> None:
    calls = 0

    def stop_at_third() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise GarError(ErrorCode.CANCELLED, "enough")

    endless = Decoder(runner, EMBEDDINGS, SIZES, ())
    cache, following = read(endless, [0])
    with pytest.raises(GarError, match="enough"):
        run_to_end(endless.generate(cache, following, 50, stop_at_third))
    assert runner.runs == [1, 1]


def test_long_answers_are_scored_in_pieces_with_the_same_result(
    decoder: Decoder, runner: SumDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, following = read(decoder, [0, 3, 1])
    answers = [[1, 2, 3, 4, 2, 1], [3, 2, 1]]
    at_once = decoder.log_likelihoods(cache, following, answers, never_cancelled)
    monkeypatch.setattr(decoder_module, "SCORED_ROWS", 2)
    runner.runs.clear()
    np.testing.assert_allclose(decoder.log_likelihoods(cache, following, answers, never_cancelled), at_once, rtol=1e-6)
    assert runner.runs == [2, 2, 1, 2]


def test_what_an_answer_begins_with_is_read_once(decoder: Decoder, runner: SumDecoder) -> None:
    cache, following = read(decoder, [0, 3, 1])
    answers = [[1, 2, 3], [1, 2, 4], [1, 4], [2]]
    runner.runs.clear()
    scores = decoder.log_likelihoods(cache, following, answers, never_cancelled)
    assert runner.runs == [2]
    expected = [sum(by_hand([0, 3, 1, *ids[:n]])[ids[n]] for n in range(len(ids))) for ids in answers]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0, 1e4])
def test_log_probabilities_are_near_those_of_float64(spread: float) -> None:
    """To 1e-6, for the vocabulary of GAR-1B and one token; more than the logits' own rounding only where they differ
    by thousands."""
    logits = (spread * np.random.default_rng(5).standard_normal(128262)).astype(np.float32)
    tokens = [0, 7, int(logits.argmax())]
    np.testing.assert_allclose(log_p_of(logits, tokens), log_softmax(logits)[tokens], rtol=1e-7, atol=1e-6)
    assert log_p_of(logits[:1], 0) == 0
