# SPDX-License-Identifier: Apache-2.0
"""What a question takes on a provider: time, memory, and how near decode comes to the memory's bandwidth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gar_ros.bench.latency.work import FURTHER, QUESTION
from gar_ros.bench.latency.worker import Recorder
from gar_ros.bench.selftest.allowed import GPU_PROVIDERS
from gar_ros.bench.selftest.bandwidth import memory_of_gpu
from gar_ros.bench.selftest.row import Row
from gar_ros.bench.selftest.stages import Setting
from gar_ros.engine.cost import kv_bytes_per_token
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.steps import Steps

TOKENS = 16
"""Length of each answer."""


@dataclass(frozen=True)
class Speed:
    """first: seconds until the first token of an answer about a new image, and until its last. further: the same of the
    next question about it. prompt_tokens: of the first question. step: seconds between two tokens, in the mean, since a
    runtime may hand out several at a time. host_peak: bytes of the largest resident set."""

    first: tuple[float, float]
    further: tuple[float, float]
    prompt_tokens: int
    step: float
    host_peak: int


def measured(setting: Setting, frame: int) -> Speed:
    """frame: number of a new image; no other measurement may have had the same."""
    engine, recorder = setting.engine, Recorder()
    image = setting.scene.new_frame(frame)
    regions = setting.regions[:1]
    with recorder.step("first") as mark:
        encoded = engine.encode(image, regions, setting.max_tiles)
        tokens = _ask(encoded, setting, QUESTION, mark)
    with recorder.step("further") as mark:
        _ask(encoded, setting, FURTHER, mark)
    marks, seconds = recorder.measured.marks, recorder.measured.seconds
    spans = [marks[name][-1] - marks[name][0] for name in ("first", "further") if len(marks[name]) > 1]
    steps = sum(len(marks[name]) - 1 for name in ("first", "further"))
    return Speed(
        first=(marks["first"][0], seconds["first"]),
        further=(marks["further"][0], seconds["further"]),
        prompt_tokens=tokens,
        step=sum(spans) / steps if steps else math.nan,
        host_peak=max(recorder.measured.peaks.values()),
    )


def _ask(frame: EncodedFrame, setting: Setting, text: str, mark: Callable[[], None]) -> int:
    """Has an answer generated, and gives the length of its prompt in tokens."""
    steps = Steps(frame.stream(setting.engine.parse(text, (), 1, TOKENS), TOKENS))
    for _ in steps:
        mark()
    return steps.result.answer.prompt_tokens


def rows(setting: Setting, decoder_bytes: int, free_before: int | None, frame: int = 1) -> Iterator[Row]:
    """decoder_bytes: of its weights. free_before: bytes of the GPU's memory that were free before the model was loaded.

    Everything is told without a limit: how fast it should be is for its reader to judge.
    """
    manifest = setting.engine.manifest
    found = measured(setting, frame)
    about = f"{TOKENS} tokens after {found.prompt_tokens:,}"
    for name, (first, all_of_it) in (("first answer", found.first), ("further answer", found.further)):
        text = f"{first:.3f} s to its first token, {all_of_it:.3f} s to its last ({about})"
        yield Row(name, None, text, {"first_token_s": first, "whole_s": all_of_it})
    read = decoder_bytes + found.prompt_tokens * kv_bytes_per_token(manifest)
    text = f"{1 / found.step:.1f} tokens/s; each reads {read / 1e6:.1f} MB of weights and KV cache"
    yield Row("decode", None, text, {"tokens_per_second": 1 / found.step, "bytes_per_token": read})
    yield Row("host memory", None, f"{found.host_peak / 1e9:.2f} GB at most", {"peak_bytes": found.host_peak})
    if setting.engine.provider in GPU_PROVIDERS:
        yield _gpu_memory(free_before)


def free_on_gpu() -> int | None:
    """Bytes, None where CUDA can't be asked."""
    try:
        return memory_of_gpu()[0]
    except Exception:  # noqa: BLE001 without a driver, some versions of cuda-python raise what they like
        return None


def _gpu_memory(before: int | None) -> Row:
    after = free_on_gpu()
    if before is None or after is None:
        return Row("GPU memory", None, "CUDA can't be asked for it")
    # The pool keeps what it had, so this is the most that it needed.
    return Row("GPU memory", None, f"{(before - after) / 1e9:.2f} GB taken", {"taken_bytes": before - after})
