# SPDX-License-Identifier: Apache-2.0
"""The static KV cache: who writes into which buffer, and what stays in it."""

from __future__ import annotations

from weakref import ref

import msgspec
import numpy as np
import pytest

from gar_ros.engine import static_cache
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.kv_cache import KvCache, bytes_of
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.static_cache import StaticCache, StaticForm, cache_form
from gar_ros.errors import ErrorCode, GarError
from tests.engine.fakes import WritingRunner
from tests.engine.test_kv_cache import AppendingRunner

SIZES = msgspec.structs.replace(
    ModelDir.open(default_model_dir()).manifest.sizes, layers=1, kv_heads=1, head_dim=1, max_positions=16
)
POSITION = 2 * 4
"""Bytes of a position: a key and a value."""


@pytest.fixture
def runner() -> WritingRunner:
    return WritingRunner()


@pytest.fixture
def form(runner: WritingRunner) -> StaticForm:
    return StaticForm(SIZES, runner)


def after(form: StaticForm, past: KvCache, count: int) -> KvCache:
    length = past.length + count
    return form.extend(past, {"position_ids": np.arange(past.length, length)[None]}, length)[0]


def keys(cache: KvCache) -> list[float]:
    values = cache.values["past_key_values.0.key"]
    assert isinstance(values, np.ndarray)
    return [float(key) for key in values.ravel()[: cache.length]]


def test_a_cache_grows_in_its_buffer(form: StaticForm, runner: WritingRunner) -> None:
    caches = [after(form, form.empty, 1)]
    for _ in range(3):
        caches.append(after(form, caches[-1], 1))
    assert all(keys(cache) == list(range(cache.length)) for cache in caches)
    assert (runner.made, runner.copied) == ([16], [])
    assert bytes_of(caches) == caches[0].nbytes == 16 * POSITION


def test_what_follows_a_prefix_takes_turns_in_its_buffer(form: StaticForm, runner: WritingRunner) -> None:
    prefix = after(form, form.empty, 2)
    assert keys(after(form, prefix, 2)) == [0, 1, 2, 3]
    runner.mark = 100
    assert keys(after(form, prefix, 1)) == [0, 1, 102]
    assert keys(prefix) == [0, 1]
    assert runner.made == [16]


def test_what_somebody_has_is_not_written_over(form: StaticForm, runner: WritingRunner) -> None:
    prefix = after(form, form.empty, 2)
    first = after(form, prefix, 1)
    runner.mark = 100
    second = after(form, prefix, 2)
    runner.mark = 200
    assert keys(after(form, first, 1)) == [0, 1, 2, 203]
    assert keys(second) == [0, 1, 102, 103]
    assert (runner.made, runner.copied) == ([16, 16], [2, 2])
    assert bytes_of([prefix, first, second]) == 2 * 16 * POSITION


def test_a_run_reads_as_many_keys_as_there_are_in_steps(
    form: StaticForm, runner: WritingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_cache, "KEYS_STEP", 6)
    cache = form.empty
    for count in (1, 5, 1, 9):
        cache = after(form, cache, count)
    assert [keys.tolist() for keys in runner.read] == [list(range(end)) for end in (6, 6, 12, 16)]


def test_nothing_is_written_beyond_the_context(form: StaticForm, runner: WritingRunner) -> None:
    whole = after(form, form.empty, 16)
    with pytest.raises(ValueError, match="expected at most 16 positions, got 17"):
        after(form, whole, 1)
    assert len(runner.read) == 1


def test_a_beginning_is_in_the_same_buffer(form: StaticForm, runner: WritingRunner) -> None:
    whole = after(form, form.empty, 4)
    beginning = form.beginning(whole, 2)
    assert beginning.values is whole.values
    runner.mark = 100
    assert keys(after(form, beginning, 1)) == [0, 1, 102]
    assert keys(whole) == [0, 1, 2, 3]
    del whole
    assert after(form, beginning, 1).values is beginning.values


def test_a_run_that_fails_leaves_every_cache_as_it_was(form: StaticForm, runner: WritingRunner) -> None:
    prefix = after(form, form.empty, 2)
    runner.mark, runner.error = 100, ValueError("no")
    with pytest.raises(ValueError, match="no"):
        after(form, prefix, 1)
    assert keys(prefix) == [0, 1]
    runner.mark, runner.error = 0, None
    assert keys(after(form, prefix, 1)) == [0, 1, 2]
    assert runner.made == [16]


def test_a_buffer_is_gone_with_its_last_cache(form: StaticForm) -> None:
    cache = after(form, form.empty, 2)
    longer = after(form, cache, 1)
    assert isinstance(cache, StaticCache) and cache.buffer is not None
    buffer = ref(cache.buffer)
    del cache
    assert buffer() is not None
    del longer
    assert buffer() is None


def test_a_runner_that_cannot_write_in_place_is_refused_at_once() -> None:
    with pytest.raises(GarError, match="static KV cache, which needs provider tensorrt, cuda or cpu") as caught:
        cache_form("static", SIZES, AppendingRunner())
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(GarError, match="static KV cache"):
        Decoder(AppendingRunner(), np.zeros((1, 1), np.float32), SIZES, (), "static")
