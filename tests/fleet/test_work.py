# SPDX-License-Identifier: Apache-2.0
"""Jobs one after another in this process."""

from __future__ import annotations

import os
import sys

import pytest

import gar_ros.fleet
from gar_ros.errors import ErrorCode, GarError
from gar_ros.fleet.cluster import Cluster
from gar_ros.fleet.work import Tick, Worker, working


def doubling() -> Worker[int, int]:
    def work(job: int, tick: Tick) -> int:
        if job < 0:
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected a job of 0 or more, got {job}")
        tick(job)
        return 2 * job

    return work


def test_results_come_in_the_order_of_the_jobs() -> None:
    images: list[int] = []
    with working(doubling, [3, 1, 2], tick=images.append) as results:
        assert list(results) == [(0, 6), (1, 2), (2, 4)]
    assert images == [3, 1, 2]


def test_an_error_of_a_worker_ends_the_work() -> None:
    with working(doubling, [1, -1, 2]) as results:
        assert next(results) == (0, 2)
        with pytest.raises(GarError, match="expected a job of 0 or more, got -1"):
            next(results)


def test_ray_is_told_to_report_nothing_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray_pool", "actor"):  # as before any import of them
        monkeypatch.delitem(sys.modules, f"gar_ros.fleet.{name}", raising=False)
        monkeypatch.delattr(gar_ros.fleet, name, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(GarError, match=r"pip install 'ray>=2\.60'"), working(doubling, [1], Cluster()):
        pass
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
