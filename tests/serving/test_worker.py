# SPDX-License-Identifier: Apache-2.0
"""Scheduling of jobs: one thread, bounded queue, deadlines, cancellation, and no job takes another one down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from gar_ros.engine.cancel import CancelCheck
from gar_ros.errors import ErrorCode, GarError, GpuLostError
from gar_ros.serving.fair_queue import Caller
from gar_ros.serving.worker import Job, Worker, background

LONG = 60.0  # seconds; no test waits that long


@pytest.fixture
def defects() -> list[BaseException]:
    """Exceptions that the worker has reported."""
    return []


@pytest.fixture
def worker(defects: list[BaseException]) -> Iterator[Worker]:
    """A worker that accepts jobs; two may wait."""
    worker = Worker(2, defects.append)
    worker.accept()
    yield worker
    worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


class Busy:
    """Work that tells when it runs and goes on until it is let go or its check raises."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, check: CancelCheck) -> str:
        self.started.set()
        while not self.let_go.wait(0.005):
            check()
        return "done"


def code_of(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(GarError) as caught:
        call()
    return caught.value.code


def test_jobs_run_in_order_in_one_thread(worker: Worker) -> None:
    order: list[tuple[int, str]] = []
    jobs = []
    for number in (1, 2):
        work = lambda check, number=number: order.append((number, threading.current_thread().name))  # noqa: E731
        jobs.append(worker.submit(work, LONG))
    for job in jobs:
        job.result()
    assert order == [(1, "gar_worker"), (2, "gar_worker")]


def test_a_full_queue_refuses_at_once_and_says_so(worker: Worker) -> None:
    busy = Busy()
    running = worker.submit(busy, LONG)
    assert busy.started.wait(LONG)
    waiting = [worker.submit(lambda check: "next", LONG) for _ in range(2)]
    assert code_of(lambda: worker.submit(lambda check: "one too many", LONG)) is ErrorCode.QUEUE_FULL
    busy.let_go.set()
    assert [running.result(), *(job.result() for job in waiting)] == ["done", "next", "next"]


def test_a_job_times_out_while_it_waits_and_frees_its_place(worker: Worker) -> None:
    busy = Busy()
    running = worker.submit(busy, LONG)
    assert busy.started.wait(LONG)
    ran = threading.Event()
    late = [worker.submit(lambda check: ran.set(), 0.02) for _ in range(2)]
    assert [code_of(job.result) for job in late] == [ErrorCode.TIMED_OUT] * 2
    after = worker.submit(lambda check: "after", LONG)
    busy.let_go.set()
    assert (running.result(), after.result()) == ("done", "after")
    assert not ran.is_set()


def test_a_running_job_times_out_at_its_next_check(worker: Worker) -> None:
    busy = Busy()
    assert code_of(worker.submit(busy, 0.05).result) is ErrorCode.TIMED_OUT
    assert worker.submit(lambda check: "free again", LONG).result() == "free again"
    assert not busy.let_go.is_set()


def test_a_timeout_is_answered_even_when_the_model_does_not_check(worker: Worker) -> None:
    let_go = threading.Event()
    job = worker.submit(lambda check: let_go.wait(LONG), 0.02)
    assert code_of(job.result) is ErrorCode.TIMED_OUT
    let_go.set()
    assert worker.submit(lambda check: "alive", LONG).result() == "alive"


def test_a_defect_is_reported_to_its_request_and_to_the_log_and_the_thread_lives_on(
    worker: Worker, defects: list[BaseException]
) -> None:
    def broken(check: CancelCheck) -> None:
        raise ZeroDivisionError("no tiles")

    job = worker.submit(broken, LONG)
    with pytest.raises(GarError, match="ZeroDivisionError: no tiles") as caught:
        job.result()
    assert caught.value.code is ErrorCode.INTERNAL_ERROR
    assert [type(defect) for defect in defects] == [ZeroDivisionError]
    assert worker.submit(lambda check: "alive", LONG).result() == "alive"


def test_what_the_work_refuses_reaches_its_request_unchanged(worker: Worker, defects: list[BaseException]) -> None:
    def refusing(check: CancelCheck) -> None:
        raise GarError(ErrorCode.QUESTION_TOO_LONG, "9 tokens too many")

    assert code_of(worker.submit(refusing, LONG).result) is ErrorCode.QUESTION_TOO_LONG
    assert defects == []


def test_a_runtime_that_failed_is_reported_as_a_defect_is(worker: Worker, defects: list[BaseException]) -> None:
    failed = GarError(ErrorCode.INTERNAL_ERROR, "ONNX Runtime could not run decoder.onnx")

    def failing(check: CancelCheck) -> None:
        raise failed

    assert code_of(worker.submit(failing, LONG).result) is ErrorCode.INTERNAL_ERROR
    assert worker.submit(lambda check: "alive", LONG).result() == "alive"
    assert defects == [failed]


def test_a_lost_gpu_is_told_before_the_running_and_all_waiting_jobs_fail_with_it(defects: list[BaseException]) -> None:
    told: list[tuple[GpuLostError, list[bool]]] = []
    jobs: list[Job[Any, Any]] = []
    worker = Worker(2, defects.append, on_lost=lambda error: told.append((error, [job.finished for job in jobs])))
    worker.accept()
    queued = threading.Event()

    def lose(check: CancelCheck) -> None:
        queued.wait(LONG)
        raise GpuLostError("CUDA failure 700")

    jobs += [worker.submit(lose, LONG), worker.submit(lambda check: "never", LONG)]
    queued.set()
    for job in jobs:
        with pytest.raises(GpuLostError, match="CUDA failure 700"):
            job.result()
    ((_, finished),) = told
    assert (finished, defects) == ([False, False], [])
    assert code_of(lambda: worker.submit(lambda check: "too late", LONG)) is ErrorCode.NOT_ACTIVE
    worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


def test_pausing_answers_the_running_and_all_waiting_jobs(worker: Worker) -> None:
    busy = Busy()
    jobs = [worker.submit(busy, LONG)]
    assert busy.started.wait(LONG)
    jobs += [worker.submit(lambda check: "never", LONG) for _ in range(2)]
    worker.pause(GarError(ErrorCode.CANCELLED, "deactivated"))
    assert [code_of(job.result) for job in jobs] == [ErrorCode.CANCELLED] * 3
    assert code_of(lambda: worker.submit(lambda check: "too late", LONG)) is ErrorCode.NOT_ACTIVE
    worker.accept()
    assert worker.submit(lambda check: "again", LONG).result() == "again"


def test_closing_ends_the_thread(defects: list[BaseException]) -> None:
    worker = Worker(1, defects.append)
    worker.close(GarError(ErrorCode.CANCELLED, "shut down"))
    assert "gar_worker" not in {thread.name for thread in threading.enumerate()}


def counting(stop_at: int, then: Callable[[CancelCheck], str]) -> Callable[[CancelCheck], Generator[int, None, str]]:
    """Work that yields 0, 1, .. and ends with `then`."""

    def work(raise_if_cancelled: CancelCheck) -> Generator[int, None, str]:
        yield from range(stop_at)
        return then(raise_if_cancelled)

    return work


FRONT, WRIST = background("front"), background("wrist")


def test_background_work_of_one_camera_leaves_another_one_its_turn(worker: Worker) -> None:
    assert worker.is_idle_for(FRONT)
    busy = Busy()
    job = worker.submit(busy, LONG, FRONT)
    assert busy.started.wait(LONG)
    assert not worker.is_idle_for(FRONT), "one at a time"
    assert worker.is_idle_for(WRIST)
    assert not worker.has_requests
    busy.let_go.set()
    job.result()


def test_no_background_work_begins_while_a_request_runs_and_it_ends_while_one_waits(worker: Worker) -> None:
    busy = Busy()
    running = worker.submit(busy, LONG, Caller("services", 1, "front"))
    assert busy.started.wait(LONG)
    assert not worker.is_idle_for(WRIST)
    assert not worker.has_requests, "that one has its turn already"
    waiting = worker.submit(lambda check: "next", LONG, Caller("services", 1, "wrist"))
    assert worker.has_requests
    busy.let_go.set()
    assert [running.result(), waiting.result()] == ["done", "next"]


def test_items_reach_the_thread_that_waits_and_then_comes_the_result(worker: Worker) -> None:
    job = worker.stream(counting(3, lambda check: "done"), LONG)
    assert list(job.items()) == [0, 1, 2]
    assert job.result() == "done"


def test_items_end_where_the_job_does(worker: Worker) -> None:
    def refuse(check: CancelCheck) -> str:
        raise GarError(ErrorCode.QUESTION_TOO_LONG, "9 tokens too many")

    refused = worker.stream(counting(2, refuse), LONG)
    assert list(refused.items()) == [0, 1]
    assert code_of(refused.result) is ErrorCode.QUESTION_TOO_LONG
    late = worker.stream(counting(1, Busy()), 0.05)
    assert list(late.items()) == [0]
    assert code_of(late.result) is ErrorCode.TIMED_OUT


def test_items_of_a_stopped_job_end_at_once_though_its_work_goes_on(worker: Worker) -> None:
    busy = Busy()
    job = worker.stream(counting(1, busy), LONG)
    assert busy.started.wait(LONG)
    job.stop(GarError(ErrorCode.CANCELLED, "the goal was cancelled"))
    assert list(job.items()) == [0]
    assert code_of(job.result) is ErrorCode.CANCELLED
