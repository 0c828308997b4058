# SPDX-License-Identifier: Apache-2.0
"""A static KV cache that ONNX Runtime keeps on a device, with the host's memory for the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime import ort
from gar_ros.engine.runtime.ort_device import OrtArray
from gar_ros.engine.steps import Steps
from gar_ros.region import Region
from tests.export.static_folder import needs_opset_24, static_folder

pytestmark = needs_opset_24


def test_answers_are_those_with_the_cache_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of two texts that are written at a time, the second one into a copy of their prefix."""
    folder = static_folder(default_model_dir(), default_model_dir() / "checkpoint", tmp_path / "model", 1024)
    image = np.random.default_rng(5).integers(0, 256, (288, 288, 3), np.uint8)
    region = Region.from_box("a", (10, 20, 120, 150), (288, 288))
    answers = []
    for stays_on in ({}, {"cpu": "cpu"}):
        monkeypatch.setattr(ort, "_STAYS_ON", stays_on)
        engine = GarEngine.open(folder, "cpu", threads=1)
        frame = engine.encode(image, [region])
        question = engine.prompts.parse("What is <Prompt0>?", (), 1)
        streams = [Steps(frame.stream(question, 5)) for _ in range(2)]
        for _ in zip(*streams, strict=True):
            pass
        caches = [value for cache in frame._prefixes.values() for value in cache.values.values()]
        assert all(isinstance(value, OrtArray) == bool(stays_on) for value in caches)
        answers.append(
            (
                [stream.result.answer.token_ids for stream in streams],
                frame.ask("What is <Prompt0>?", ["a mug", "a box"]).probabilities,
                len(caches),
            )
        )
    assert answers[0] == answers[1]
    assert answers[0][-1] > 0
