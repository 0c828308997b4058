# SPDX-License-Identifier: Apache-2.0
"""Jobs on a Ray cluster. Ray decides which worker does what, starts dead workers again and repeats their jobs."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import ActorPool

from gar_ros.errors import ErrorCode, GarError, reason_of
from gar_ros.fleet.actor import WATCH, Refused, WorkerActor
from gar_ros.fleet.cluster import LOCAL, Cluster
from gar_ros.fleet.work import Lost, Tick, Worker
from gar_ros.progress import now_and_then

RETRIES = 2
"""How often a job is tried again when its worker dies."""
_START_TRIES = 3
"""To start a cluster: Ray gives each 30 s, which a busy machine may not suffice for."""
_REACH_SECONDS = 10.0
_POLL_SECONDS = 0.5
_STOP_SECONDS = 15.0
_OBJECT_BYTES = 80 << 20
"""For objects that processes share: jobs and results are small, and Ray would take a third of the memory."""


@contextmanager
def on_ray(
    open_worker: Callable[[], Worker[Any, Any]], jobs: Sequence[Any], cluster: Cluster, tick: Tick
) -> Iterator[Iterator[tuple[int, Any]]]:
    """As `working`, with a cluster."""
    with _connected(cluster):
        cpus, gpus, count = _shares(cluster, len(jobs))
        declare: Any = ray.remote  # its types don't know concurrency_groups
        remote = declare(concurrency_groups={WATCH: 1})(WorkerActor)
        remote = remote.options(num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=RETRIES)
        workers = _Workers([remote.remote(open_worker) for _ in range(count)])
        try:
            yield workers.results(workers.first(), jobs, tick)
        finally:
            workers.stop()


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """Starts a cluster on this machine or joins one. Raises GarError INVALID_REQUEST."""
    _check_reachable(cluster.address)
    own: dict[str, Any] = {}
    tries = 1
    if cluster.address == LOCAL:
        own = {"include_dashboard": False, "object_store_memory": _OBJECT_BYTES}
        tries = _START_TRIES
    try:
        while not ray.is_initialized():
            tries -= 1
            try:
                ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR, **own)
            except Exception as error:  # ConnectionError, RuntimeError, ImportError of ray:// and others
                ray.shutdown()
                if not tries:
                    what = f"can't work on the Ray cluster '{cluster.address}': {reason_of(error)}"
                    raise GarError(ErrorCode.INVALID_REQUEST, what) from error
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises GarError INVALID_REQUEST where nothing listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:  # the latter for a port above 65535
        what = f"can't work on the Ray cluster '{address}', where nothing listens: {reason_of(error)}"
        raise GarError(ErrorCode.INVALID_REQUEST, what) from error


def _shares(cluster: Cluster, jobs: int) -> tuple[int, float, int]:
    """CPUs and GPUs of a worker, and the number of workers. Raises GarError INVALID_REQUEST where none fits."""
    there = ray.cluster_resources()
    gpus = cluster.gpus
    if gpus is None:
        gpus = 0.0 if cluster.on_cpu or not there.get("GPU") else 1.0
    fit = int(there.get("CPU", 0) // cluster.cpus)
    if gpus:
        fit = min(fit, int(there.get("GPU", 0) / gpus))
    # Only this machine can't grow: a cluster may add machines for workers that wait.
    wanted = cluster.workers or fit
    if not wanted or (cluster.address == LOCAL and wanted > fit):
        has = f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs"
        each = f"{cluster.cpus} CPUs and {gpus:g} GPUs"
        what = (
            f"expected room for {wanted or 1} worker(s) of {each}; the cluster has {has}: see --workers, --cpus, --gpus"
        )
        raise GarError(ErrorCode.INVALID_REQUEST, what)
    return cluster.cpus, gpus, min(wanted, jobs)


class _Workers:
    """The workers, which join when Ray has started them."""

    def __init__(self, actors: list[Any]) -> None:
        self._actors = actors
        self._starting = {actor.ready.remote(): actor for actor in actors}
        self._running: dict[Any, Any] = {}
        """The last job of each worker, as Ray knows it."""

    def first(self) -> list[Any]:
        """The workers that are there first; it waits for one. Raises GarError where one can't load its model."""
        show = now_and_then()
        while not (started := self._started(_POLL_SECONDS)):
            show("waiting for the cluster to start the first worker")
        return started

    def results(self, started: list[Any], jobs: Sequence[Any], tick: Tick) -> Iterator[tuple[int, Any]]:
        """Index and result of each job, as they are done. started: the first workers. Raises GarError."""
        pool = ActorPool(started)
        for indexed in enumerate(jobs):
            pool.submit(self._submit, indexed)
        done: set[int] = set()
        why = "it was never tried"
        while pool.has_next():
            for actor in self._started(0):
                pool.push(actor)
            try:
                index, result = pool.get_next_unordered(timeout=_POLL_SECONDS)
            except TimeoutError:
                tick(self._images())
                continue
            except RayTaskError:  # an exception in the worker, which is a defect
                raise
            except RayError as error:  # the worker died each time; Ray has started it again
                why = reason_of(error)
                continue
            if isinstance(result, Refused):
                raise result.error()
            done.add(index)
            yield index, result
        for index in range(len(jobs)):
            if index not in done:
                yield index, Lost(f"its worker died in each of {1 + RETRIES} tries ({why})")

    def stop(self) -> None:
        """Asks all workers to end, and waits for those that have a job."""
        for actor in self._actors:
            actor.stop.remote()
        running = list(self._running.values())
        if running:
            ray.wait(running, num_returns=len(running), timeout=_STOP_SECONDS)

    def _submit(self, actor: Any, indexed: tuple[int, Any]) -> Any:
        self._running[actor] = actor.work.remote(*indexed)
        return self._running[actor]

    def _started(self, seconds: float) -> list[Any]:
        """Workers that have loaded their model since the last call. Raises GarError where one can't."""
        if not self._starting:
            return []
        ready, _ = ray.wait(list(self._starting), num_returns=1, timeout=seconds)
        started = []
        for one in ready:
            started.append(self._starting.pop(one))
            try:
                refused = ray.get(one)
            except RayError as error:
                what = f"a worker died while it loaded the model: {reason_of(error)}"
                raise GarError(ErrorCode.BAD_MODEL, what) from error
            if refused is not None:
                raise refused.error()
        return started

    def _images(self) -> int:
        """How many images of unfinished jobs are done, as far as the workers tell in time."""
        asked = [actor.images.remote() for actor in self._running]
        told, _ = ray.wait(asked, num_returns=len(asked), timeout=_POLL_SECONDS) if asked else ([], [])
        images = 0
        for one in told:
            try:
                images += ray.get(one)
            except RayError:  # it is being started again
                continue
        return images
