# SPDX-License-Identifier: Apache-2.0
"""The engine from picture and masks to the answer's tokens against the released code's numbers.

ONNX graphs in float32, our own preprocessing. Tolerances are those of golden/README.md for the torch code itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import JoinedForm
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.steps import run_to_end
from gar_ros.region import Region
from tests.engine.golden import BOS, CASES, IMAGE_CASES, VIDEO_CASES, GoldenCase
from tests.fixtures_golden import FindCase

Frames = Callable[[str], tuple[GoldenCase, EncodedFrame, GarEngine]]


@pytest.fixture(scope="module")
def encoded(golden_engine: Callable[[str], GarEngine], golden_case: FindCase) -> Frames:
    def encode(name: str) -> tuple[GoldenCase, EncodedFrame, GarEngine]:
        case = golden_case(name)
        engine = golden_engine(case.info["checkpoint"])
        regions = [Region.from_mask(str(index), mask) for index, mask in enumerate(case.masks)]
        if case.video:
            return case, engine.encode_video(list(zip(case.images, regions, strict=True))), engine
        return case, engine.encode(case.images[0], regions, max_tiles=case.info["max_num_tiles"]), engine

    return encode


@pytest.mark.parametrize("name", CASES)
def test_features_and_replay_tokens(encoded: Frames, name: str) -> None:
    case, frame, _ = encoded(name)
    np.testing.assert_allclose(on_host(frame._features), case.arrays["image_features"], atol=2e-5)
    for crop, replay in zip(case.crops, on_host(frame._replay), strict=True):
        np.testing.assert_allclose(replay, case.arrays[case.per_mask.key(f"replay_{crop}")], atol=1e-5)


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_answers_and_the_logits_of_every_token(encoded: Frames, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, frame, engine = encoded(name)
    expected = case.ours.generated_ids
    logits = record_logits(engine, monkeypatch)

    count = len(expected)
    answer = frame.describe(max_tokens=count) if case.caption else frame.ask(case.question, max_tokens=count)

    assert list(answer.token_ids) == without_end(expected, engine)
    assert answer.prompt_tokens == case.ours.info["n_input_ids"]
    assert (answer.choice, answer.probabilities) == (-1, ())
    steps = np.stack(logits[-count:])[:, case.arrays["used_ids"]]
    np.testing.assert_allclose(steps, case.arrays[case.ours.key("logits_steps")], atol=3e-3)


@pytest.mark.parametrize("name", VIDEO_CASES)
def test_a_video_as_released_but_for_its_second_bos(encoded: Frames, name: str) -> None:
    """The released ids follow two BOS; the engine's answer follows the same prompt with one."""
    case, frame, engine = encoded(name)
    ids = engine.prompts.prefix("video", case.tiles, case.tiles) + engine.prompts.question(case.question, 1, "video")
    generated = {}
    for prompt in ([BOS, *ids], ids):
        embeds = frame._embed("video", prompt)
        cache, logits = engine.decoder.prefill(engine.decoder.empty, embeds, never_cancelled)
        generated[len(prompt)] = list(run_to_end(engine.decoder.generate(cache, logits, 16, never_cancelled)).ids)
    assert generated[len(ids) + 1] == without_end(case.ours.generated_ids, engine)

    answer = frame.ask(case.question, max_tokens=16)
    assert (answer.prompt_tokens, list(answer.token_ids)) == (len(ids), generated[len(ids)])
    assert frame.describe(max_tokens=16).token_ids == answer.token_ids


def without_end(ids: list[int], engine: GarEngine) -> list[int]:
    """Generated ids as an answer has them."""
    return ids[:-1] if ids[-1] in engine.manifest.tokens.eos else ids


def record_logits(engine: GarEngine, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The last row of logits of every run of the decoder from now on."""
    logits: list[np.ndarray] = []
    form = engine.decoder._form
    assert isinstance(form, JoinedForm)
    runner = form._runner

    class Recording:
        def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
            all_tokens = {"scored_ids": np.arange(engine.manifest.sizes.vocab)} if "scored_ids" in feeds else {}
            outputs = runner.run({**feeds, **all_tokens})
            logits.append(outputs["scored_logits" if all_tokens else "logits"].numpy()[0, -1])
            return outputs

    monkeypatch.setattr(form, "_runner", Recording())
    return logits
