# SPDX-License-Identifier: Apache-2.0
"""The forms of a KV cache, on arrays whose rows are numbered by their positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine import kv_cache
from gar_ros.engine.kv_cache import CacheForm, KvCache, bytes_of
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import KvForm
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.static_cache import cache_form
from tests.engine.fakes import HostTensor, WritingRunner

SIZES = msgspec.structs.replace(
    ModelDir.open(default_model_dir()).manifest.sizes, layers=1, kv_heads=1, head_dim=1, max_positions=16
)
FORMS: tuple[KvForm, ...] = ("joined", "split", "static")


class AppendingRunner:
    """Copies positions from its last input with keys, and appends the new tokens' positions to them."""

    def run(self, feeds: Mapping[str, Any]) -> dict[str, HostTensor]:
        (copied,) = list(feeds)[-2:-1]
        old, new = on_host(feeds[copied]), feeds["position_ids"][0].astype(np.float32)
        present = np.concatenate([old, new[:, None] * np.ones((*old.shape[:-2], 1, 1), np.float32)], axis=-2)
        return {f"present.0.{kind}": HostTensor(present) for kind in ("key", "value")}

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(np.float32)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> CacheForm:
    monkeypatch.setattr(kv_cache, "LONGEST_RECENT", 4)
    return cache_form(request.param, SIZES, WritingRunner() if request.param == "static" else AppendingRunner())


def after(form: CacheForm, past: KvCache, count: int) -> KvCache:
    length = past.length + count
    feeds = {"position_ids": np.arange(past.length, length)[None]}
    return form.extend(past, feeds, length)[0]


def positions(cache: KvCache) -> list[float]:
    keys: list[NDArray[np.float32]] = [on_host(value) for name, value in cache.values.items() if name.endswith("key")]
    return [float(number) for part in keys for number in part.ravel()][: cache.length]


def test_a_cache_grows_and_the_one_before_stays(form: CacheForm) -> None:
    caches = [form.empty]
    for count in (3, 2, 1, 2, 5, 1):
        caches.append(after(form, caches[-1], count))
    assert [cache.length for cache in caches] == [0, 3, 5, 6, 8, 13, 14]
    assert all(positions(cache) == list(range(cache.length)) for cache in caches)


@pytest.mark.parametrize("form", ["joined", "split"], indirect=True)
def test_a_cache_takes_the_memory_of_its_positions(form: CacheForm) -> None:
    caches = [after(form, form.empty, 3)]
    for count in (2, 5):
        caches.append(after(form, caches[-1], count))
    assert [cache.nbytes for cache in caches] == [2 * 4 * 3, 2 * 4 * 5, 2 * 4 * 10]


@pytest.mark.parametrize("length", [0, 4, 5, 6, 7])
def test_a_beginning_is_a_cache_that_goes_on(form: CacheForm, length: int) -> None:
    whole = after(form, after(form, form.empty, 5), 2)
    beginning = form.beginning(whole, length)
    assert positions(beginning) == list(range(length))
    assert positions(after(form, beginning, 3)) == list(range(length + 3))
    assert positions(whole) == list(range(7))


def test_what_has_settled_is_not_copied_until_the_recent_part_is_long() -> None:
    form = cache_form("split", SIZES, AppendingRunner())
    settled = after(form, form.empty, kv_cache.LONGEST_RECENT)
    first, second = after(form, settled, 3), after(form, settled, 2)
    name = "past_key_values.0.key"
    assert first.values[name] is second.values[name] is settled.values[name]
    assert (settled.recent, first.recent, second.recent) == (0, 3, 2)
    assert bytes_of([settled, first, second]) == 2 * 4 * (kv_cache.LONGEST_RECENT + 3 + 2)
    assert after(form, first, kv_cache.LONGEST_RECENT - 3).recent == 0
