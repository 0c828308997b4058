# SPDX-License-Identifier: Apache-2.0
"""Features and KV caches that ONNX Runtime keeps on a device, with the host's memory for the device: the exports that a
GPU runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime import ort
from gar_ros.engine.runtime.ort_device import OrtArray
from gar_ros.engine.steps import Steps
from gar_ros.region import Region
from tests.export.static_folder import needs_opset_24, static_folder


def answers(folder: Path, on_device: bool, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two texts that are written at a time, and the probabilities of a choice."""
    monkeypatch.setattr(ort, "_STAYS_ON", {"cpu": "cpu"} if on_device else {})
    engine = GarEngine.open(folder, "cpu", threads=1)
    image = np.random.default_rng(5).integers(0, 256, (288, 288, 3), np.uint8)
    frame = engine.encode(image, [Region.from_box("a", (10, 20, 120, 150), (288, 288))])
    question = engine.prompts.parse("What is <Prompt0>?", (), 1)
    streams = [Steps(frame.stream(question, 5)) for _ in range(2)]
    for _ in zip(*streams, strict=True):
        pass
    kept = [value for cache in frame._prefixes.values() for value in cache.values.values()]
    assert kept
    assert all(isinstance(value, OrtArray) for value in [frame.features, *kept]) == on_device
    texts = [stream.result.answer.token_ids for stream in streams]
    return [texts, frame.ask("What is <Prompt0>?", ["a mug", "a box"]).probabilities]


def test_half_precision(fp16_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(fp16_tiny, True, monkeypatch) == answers(fp16_tiny, False, monkeypatch)


@needs_opset_24
def test_a_static_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second text is written into a copy of the prefix."""
    folder = static_folder(default_model_dir(), default_model_dir() / "checkpoint", tmp_path / "model", 1024)
    assert answers(folder, True, monkeypatch) == answers(folder, False, monkeypatch)
