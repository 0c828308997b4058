# SPDX-License-Identifier: Apache-2.0
"""Jobs on a real cluster of this machine, with two workers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gar_ros.errors import ErrorCode, GarError, GpuLostError
from gar_ros.fleet.cluster import Cluster
from gar_ros.fleet.work import Lost, Tick, Worker, working

pytestmark = pytest.mark.usefixtures("minutes")
TWO = Cluster(workers=2, on_cpu=True)


@pytest.fixture
def minutes() -> None:
    """Starting Ray takes long, see tests/parts.py."""


def test_a_job_that_kills_each_worker_is_lost_and_the_others_are_done(tmp_path: Path) -> None:
    def open_worker() -> Worker[str, tuple[str, int]]:
        def work(job: str, tick: Tick) -> tuple[str, int]:
            if job == "deadly":
                os._exit(1)
            if job == "once" and not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                raise GpuLostError("CUDA fails in this process")
            return job.upper(), os.getpid()

        return work

    jobs = ["a", "deadly", "once", "b", "c"]
    with working(open_worker, jobs, TWO) as results:
        found: dict[int, Any] = dict(results)
    assert {jobs[index]: found[index][0] for index in (0, 2, 3, 4)} == {"a": "A", "once": "ONCE", "b": "B", "c": "C"}
    assert isinstance(found[1], Lost) and found[1].reason.startswith("its worker died in each of 3 tries")
    assert os.getpid() not in {found[index][1] for index in (0, 2, 3, 4)}


def test_what_a_worker_refuses_is_told_and_all_stop_at_their_next_image(tmp_path: Path) -> None:
    def open_worker() -> Worker[str, None]:
        def work(job: str, tick: Tick) -> None:
            if job == "bad":
                while not (tmp_path / "begun").exists():
                    time.sleep(0.05)
                raise GarError(ErrorCode.UNKNOWN_REGION, "region '9' is not in the image")
            try:
                for images in range(10**6):
                    tick(images)
                    (tmp_path / "begun").touch()
                    time.sleep(0.05)
            finally:
                (tmp_path / "tidied").touch()

        return work

    images: list[int] = []
    with (
        pytest.raises(GarError, match="region '9'") as caught,
        working(open_worker, ["long", "bad"], TWO, images.append) as results,
    ):
        list(results)
    assert caught.value.code is ErrorCode.UNKNOWN_REGION
    assert (tmp_path / "tidied").exists()


def test_a_model_that_no_worker_can_load_is_told() -> None:
    def open_worker() -> Worker[str, None]:
        raise GarError(ErrorCode.BAD_MODEL, "expected a model folder")

    with pytest.raises(GarError, match="expected a model folder"), working(open_worker, ["a", "b"], TWO):
        pass


def never() -> Worker[str, None]:
    raise AssertionError("no worker is started")


def test_workers_that_do_not_fit_are_told() -> None:
    cluster = Cluster(workers=1, cpus=(os.cpu_count() or 1) + 1)
    with pytest.raises(GarError, match="expected room for 1 worker"), working(never, ["a"], cluster):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:9", "[::1]:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_a_cluster_that_is_not_there_is_told(address: str) -> None:
    with pytest.raises(GarError, match="where nothing listens"), working(never, ["a"], Cluster(address)):
        pass
