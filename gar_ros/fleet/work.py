# SPDX-License-Identifier: Apache-2.0
"""Many jobs, one after another here or on a Ray cluster; what a worker does with a job is the same in both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from gar_ros.errors import missing_package
from gar_ros.fleet.cluster import Cluster

Job = TypeVar("Job")
Result = TypeVar("Result")
Tick = Callable[[int], None]
"""Told how many images of a job are done. It raises KeyboardInterrupt where the work must stop."""
Worker = Callable[[Job, Tick], Result]
"""Does one job after another. A GarError that it raises ends all work."""


@dataclass(frozen=True)
class Lost:
    """Instead of the result of a job whose worker died each time it was tried."""

    reason: str


@contextmanager
def working(
    open_worker: Callable[[], Worker[Job, Result]],
    jobs: Sequence[Job],
    cluster: Cluster | None = None,
    tick: Tick = lambda images: None,
) -> Iterator[Iterator[tuple[int, Result | Lost]]]:
    """Gives the index of each job with its result: in the order of `jobs` without a cluster, else as they are done. The
    (first) worker is there when the context begins.

    open_worker: makes a worker, which has the model loaded; called once here, or once in each worker's process, so it
    must be picklable, as jobs and results must be. tick: told how many images of unfinished jobs are done.

    Raises GarError, also where Ray is not installed or the cluster can't be reached. However the context is left, all
    workers are stopped, and what they have begun is tidied up.
    """
    if cluster is None:
        worker = open_worker()
        yield ((index, worker(job, tick)) for index, job in enumerate(jobs))
        return
    with import_ray().on_ray(open_worker, jobs, cluster, tick) as results:
        yield results


def import_ray() -> Any:
    """The module that needs Ray. Raises GarError INVALID_REQUEST where Ray is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reports to its makers otherwise; read when it is imported
    try:
        from gar_ros.fleet import ray_pool
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gar_ros"):
            raise
        raise missing_package("--ray", error.name, "'ray>=2.60'") from error
    return ray_pool
