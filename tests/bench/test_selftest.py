# SPDX-License-Identifier: Apache-2.0
"""`gar selftest`: what it compares and how, and that whatever fails is a row. Its times are never looked at."""

# Some names are CUDA's.
# ruff: noqa: N801, N802, N815

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.bench.latency.scene import Scene
from gar_ros.bench.selftest.allowed import allowed_for
from gar_ros.bench.selftest.bandwidth import gpu_bandwidth
from gar_ros.bench.selftest.command import as_text, passed, rows_of
from gar_ros.bench.selftest.reference import PlainRuntime
from gar_ros.bench.selftest.row import Limit, Row, compared, difference_of, failed, smallest_cosine
from gar_ros.bench.selftest.stages import STEPS, Setting, Stages, answered, comparisons, stages_of
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.errors import ErrorCode, GarError

NAMES = [
    "vision: features",
    "replay: tokens",
    "decoder: prefill logits",
    "decoder: decode logits",
    "question: answer",
]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Two squares on noise, 64 x 48."""
    masks = np.zeros((2, 48, 64), bool)
    masks[0, 8:20, 8:20] = masks[1, 30:44, 40:60] = True
    return Scene(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), masks)


@pytest.fixture(scope="module")
def expected(model_dir: Path, scene: Scene) -> Stages:
    """What the CPU computes for two tiles and the thumbnail."""
    return stages_of(Setting(GarEngine(ModelDir.open(model_dir), PlainRuntime(1)), 2, scene))


@pytest.fixture
def setting(model_dir: Path, scene: Scene) -> Setting:
    """The same by an engine that a test may break."""
    return Setting(GarEngine.open(model_dir, "cpu", threads=1), 2, scene)


def test_a_difference_is_relative_to_the_largest_number_expected() -> None:
    assert difference_of(np.array([1.0, 3.0]), np.array([1.0, -4.0])) == 7 / 4
    assert difference_of(np.zeros(2), np.zeros(2)) == 0


def test_the_cosine_of_the_vectors_that_agree_least() -> None:
    found, other = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [1.0, 0.0]])
    assert smallest_cosine(found, other) == pytest.approx(0.5**0.5)
    assert smallest_cosine(np.zeros((1, 2)), np.zeros((1, 2))) == 1
    assert smallest_cosine(np.ones((1, 2)), np.zeros((1, 2))) == 0


@pytest.mark.parametrize(
    ("found", "ok"),
    [([4.0, 0.4], True), ([4.0, 0.5], False), ([4.0, np.nan], False), ([-4.0, 0.0], False), ([np.inf, 0.0], False)],
)
def test_both_limits_must_hold(found: list[float], ok: bool) -> None:
    """0.4 of 4 is a tenth."""
    assert compared("x", np.array([found]), np.array([[4.0, 0.0]]), Limit(0.1, 0.9)).ok is ok


def test_arrays_of_different_shapes_are_no_comparison() -> None:
    with pytest.raises(GarError, match=r"expected x of shape \(1, 2\), got \(2, 1\)"):
        compared("x", np.ones((2, 1)), np.ones((1, 2)), Limit(1, 0))


@pytest.mark.parametrize(
    ("found", "ok", "words"),
    [
        ([0.6, 0.4], True, "the same choice"),
        ([0.49, 0.51], True, "choice 1 instead of 0, 0.040 less likely"),
        ([0.3, 0.7], False, "choice 1 instead of 0"),
        ([0.9, 0.1], False, "the same choice"),
    ],
)
def test_another_choice_is_allowed_only_between_equally_likely_ones(found: list[float], ok: bool, words: str) -> None:
    row = answered(np.array(found), np.array([0.52, 0.48]), 0.1)
    assert row.ok is ok
    assert words in row.text


def test_float32_may_be_multiplied_in_fewer_bits_on_a_gpu() -> None:
    assert allowed_for("float32", "tensorrt") == allowed_for("float16", "cpu")
    assert allowed_for("float32", "openvino").logits.difference < allowed_for("float16", "tensorrt").logits.difference
    assert allowed_for("a precision of the future", "cpu") == allowed_for("int4", "cpu")


def test_the_stages_have_the_shapes_of_the_model(expected: Stages, model_dir: Path) -> None:
    """gar-tiny: 64 tokens a tile, width 192; three tiles, two regions; 701 tokens in the vocabulary."""
    assert expected.features.shape == (3, 64, 192)
    assert expected.replay.shape == (2, 64, 192)
    assert len(expected.embeds) > 5 * 64
    assert expected.prefill.shape == (1, 701)
    assert expected.decode.shape == (STEPS, 701)
    assert expected.tokens.shape == (STEPS,)
    assert expected.probabilities.sum() == pytest.approx(1)


def test_stages_are_kept_in_a_file(expected: Stages, tmp_path: Path) -> None:
    expected.write(tmp_path / "stages.npz")
    kept = Stages.read(tmp_path / "stages.npz")
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(kept, name), values)


def test_the_embeddings_are_those_of_the_engines_own_answer(setting: Setting, expected: Stages) -> None:
    """The last stage goes from the image on, so its first logits are those of prefill."""
    frame = setting.engine.encode(setting.scene.image, setting.regions, 2)
    own = on_host(frame._embed("question", setting.engine.prompts.prefix("question", 3, 2)))
    assert float(np.abs(expected.embeds[: len(own)] - own).max()) < 1e-4


def test_fused_graphs_agree_with_the_graphs_as_they_are_written(setting: Setting, expected: Stages) -> None:
    made = list(comparisons(setting, expected))
    assert [row.name for row in made] == NAMES
    assert [row.text for row in made if not row.ok] == []


@pytest.mark.parametrize(
    ("part", "stage"),
    [("features", 0), ("replay", 1), ("prefill", 2), ("decode", 3), ("probabilities", 4)],
)
def test_a_stage_that_is_wrong_is_told_alone(setting: Setting, expected: Stages, part: str, stage: int) -> None:
    """Each stage but the first gets the CPU's inputs."""
    wrong = dataclasses.replace(expected, **{part: getattr(expected, part)[..., ::-1]})
    failing = [row.name for row in comparisons(setting, wrong) if not row.ok]
    assert NAMES[stage] in failing
    assert len(failing) == (2 if part in ("features", "replay") and NAMES[stage + 1] in failing else 1)


def test_a_graph_that_fails_is_told_and_the_others_go_on(
    setting: Setting, expected: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def run(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
            raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(setting.engine.decoder, "_runner", Failing())
    made = {row.name: row for row in comparisons(setting, expected)}
    assert made["vision: features"].ok and made["replay: tokens"].ok
    assert made["decoder: prefill logits"].text == "failed: RuntimeError: no kernel image is available"
    assert made["decoder: decode logits"].text == "failed: there is no prefill to go on from"
    assert made["question: answer"].ok is False


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -SEGV $$", "its process was ended by SIGSEGV"),
        ("exit 3", "its process ended with 3"),
    ],
)
def test_a_process_that_crashes_is_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    """What it has told before still counts."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{Row('first', True, 'fine').as_line()}'\necho chatter\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert list(rows_of("side", ["subject"])) == [Row("first", True, "fine"), failed("side", words)]


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert '"difference": null' in Row("x", False, "", {"difference": float("nan")}).as_line()


@pytest.mark.parametrize(
    ("rows", "ok"),
    [
        ([Row("a", True, "")], True),
        ([Row("a", True, ""), Row("b", None, "")], True),
        ([Row("a", True, ""), Row("b", False, "")], False),
        ([Row("b", None, "")], False),
        ([], False),
    ],
)
def test_all_must_hold_and_something_must_have_been_compared(rows: list[Row], ok: bool) -> None:
    assert passed(rows) is ok
    assert as_text(rows).endswith("all limits hold\n")
    assert as_text(rows).endswith("NOT all limits hold\n") is not ok


class StandInMemory:
    """In place of cuda.bindings.runtime, for what copying within a GPU takes. It proves nothing about one."""

    class cudaError_t(Enum):
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2

    class cudaMemcpyKind(Enum):
        cudaMemcpyDeviceToDevice = 3

    def __init__(self, pieces: int = 2) -> None:
        self.pieces, self.held, self.pending = pieces, set[int](), 0

    def cudaMalloc(self, size: int) -> tuple[Any, int]:
        if len(self.held) == self.pieces:
            return self.cudaError_t.cudaErrorMemoryAllocation, 0
        self.held.add(len(self.held) + 1)
        return self.cudaError_t.cudaSuccess, len(self.held)

    def cudaFree(self, address: int) -> tuple[Any]:
        assert not self.pending
        self.held.remove(address)
        return (self.cudaError_t.cudaSuccess,)

    def cudaMemcpy(self, target: int, source: int, count: int, kind: Any) -> tuple[Any]:
        assert {target, source} == self.held and count == 1024
        assert kind is self.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self.pending += 1
        return (self.cudaError_t.cudaSuccess,)

    def cudaDeviceSynchronize(self) -> tuple[Any]:
        self.pending = 0
        return (self.cudaError_t.cudaSuccess,)


def test_a_gpus_bandwidth_is_of_copies_that_are_done() -> None:
    cuda = StandInMemory()
    assert gpu_bandwidth(cuda, 1024) > 0
    assert (cuda.held, cuda.pending) == (set(), 0)


def test_a_gpu_that_is_full_is_told_and_nothing_stays_allocated() -> None:
    cuda = StandInMemory(pieces=1)
    with pytest.raises(GarError, match="CUDA: cudaMalloc failed") as told:
        gpu_bandwidth(cuda, 1024)
    assert told.value.code == ErrorCode.INTERNAL_ERROR
    assert cuda.held == set()
