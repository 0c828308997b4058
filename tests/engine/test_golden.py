"""From picture and masks to the answer's tokens: every number against the released code's.

ONNX graphs in float32, our own preprocessing. Tolerances are those of golden/README.md for the torch code itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.engine import EncodedFrame, GarEngine
from gar_ros.engine.runtime.runner import on_host
from gar_ros.region import Region
from tests.engine.golden import SINGLE_FRAME, GoldenCase, golden_case

Frames = Callable[[str], tuple[GoldenCase, EncodedFrame, GarEngine]]


@pytest.fixture(scope="module")
def encoded(shared: Path, golden_engine: Callable[[str], GarEngine]) -> Frames:
    def encode(name: str) -> tuple[GoldenCase, EncodedFrame, GarEngine]:
        case = golden_case(shared, name)
        engine = golden_engine(case.info["checkpoint"])
        regions = [Region.from_mask(str(index), mask) for index, mask in enumerate(case.masks)]
        return case, engine.encode(case.image, regions, max_tiles=case.info["max_num_tiles"]), engine

    return encode


@pytest.mark.parametrize("name", SINGLE_FRAME)
def test_features_and_replay_tokens(encoded: Frames, name: str) -> None:
    case, frame, _ = encoded(name)
    np.testing.assert_allclose(on_host(frame._features), case.arrays["image_features"], atol=2e-5)
    variant = "official" if case.info["kind"] == "caption" else "per_mask_bbox"
    for number, replay in zip(case.prompt_numbers, on_host(frame._replay), strict=True):
        crop = case.info["crop_tokens"][f"<Prompt{number}>"]
        np.testing.assert_allclose(replay, case.arrays[f"{variant}.replay_{crop}"], atol=1e-5)


@pytest.mark.parametrize("name", SINGLE_FRAME)
def test_answers_and_the_logits_of_every_token(encoded: Frames, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, frame, engine = encoded(name)
    single = case.info["kind"] == "caption"
    variant = "single_bos" if single else "per_mask_bbox_single_bos"
    expected = case.info["variants"][variant]
    seen = record_logits(engine, monkeypatch)

    answer = frame.describe(max_tokens=16) if single else frame.ask(case.info["question"], max_tokens=16)

    assert list(answer.token_ids) == expected["generated_ids"]
    assert answer.prompt_tokens == expected["n_input_ids"]
    assert (answer.choice, answer.probabilities, answer.complete) == (-1, (), False)
    steps = np.stack(seen[-16:])[:, case.arrays["used_ids"]]
    np.testing.assert_allclose(steps, case.arrays[f"{variant}.logits_steps"], atol=3e-3)


def record_logits(engine: GarEngine, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The last row of logits of every run of the decoder from now on."""
    seen: list[np.ndarray] = []
    runner = engine.decoder._runner

    class Recording:
        def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
            outputs = runner.run(feeds)
            seen.append(outputs["logits"].numpy()[0, -1])
            return outputs

    monkeypatch.setattr(engine.decoder, "_runner", Recording())
    return seen
