# SPDX-License-Identifier: Apache-2.0
"""The one thread that uses the model, and the bounded queue in front of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.steps import Steps
from gar_ros.errors import ErrorCode, GarError, GpuLostError, reason_of
from gar_ros.serving.fair_queue import NODE, WATCHES, Caller, FairQueue

T = TypeVar("T")
Item = TypeVar("Item")


def background(camera: str = "") -> Caller:
    """Who asks for work on a camera's images that no request asked for."""
    return Caller(NODE, 0, camera)


def watching(camera: str = "") -> Caller:
    """Who asks for the looks of all watches on a camera's images."""
    return Caller(WATCHES, 0, camera)


class _End:
    """Marks the end of a job's items."""


class Job(Generic[Item, T]):
    """One piece of work for the model. It yields items and finishes once, with a result or an error. Thread-safe."""

    def __init__(self, work: Callable[[CancelCheck], Generator[Item, None, T]], timeout: float, caller: Caller) -> None:
        """work: called with a check that it calls between steps; yields items, returns the result. timeout: seconds
        from now after which the job has failed. caller: whose it is."""
        self.caller = caller
        self._work = work
        self._items: SimpleQueue[Item | _End] = SimpleQueue()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._result: T
        self._error: BaseException | None = None

    def items(self) -> Iterator[Item]:
        """Yields the work's items as they come, until the job is finished; only one thread may read them.

        Raises nothing: call `result` afterwards, which says how the job ended.
        """
        while True:
            try:
                item = self._items.get(timeout=max(self._deadline - time.monotonic(), 0.0))
            except Empty:
                self._time_out()
                return
            if isinstance(item, _End):
                return
            yield item

    def result(self) -> T:
        """The job's result; waits for it until the deadline at most. Raises GarError TIMED_OUT or what stopped it."""
        if not self._finished.wait(self._deadline - time.monotonic()):
            self._time_out()
        if self._error is not None:
            raise self._error
        return self._result

    def stop(self, error: BaseException) -> None:
        """Finishes the job with `error` unless it has finished; work that runs ends at its next check."""
        with self._lock:
            if not self._finished.is_set():
                self._error = error
                self._finish()

    @property
    def finished(self) -> bool:
        """Whether the job has a result or an error."""
        return self._finished.is_set()

    def run(self) -> None:
        """Does the work in the calling thread. Raises what `work` raises."""
        steps = Steps(self._work(self._check))
        for item in steps:
            self._items.put(item)
        with self._lock:
            if not self._finished.is_set():
                self._result = steps.result
                self._finish()

    def _finish(self) -> None:
        self._finished.set()
        self._items.put(_End())

    def _time_out(self) -> None:
        self.stop(self._timed_out())

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if time.monotonic() > self._deadline:
            raise self._timed_out()

    def _timed_out(self) -> GarError:
        return GarError(
            ErrorCode.TIMED_OUT, f"no answer within {self._timeout:g} s; retry later or with a longer timeout"
        )


class Worker:
    """Runs jobs one after another in its own thread; callers take turns, see FairQueue. Thread-safe.

    A job that fails doesn't affect other jobs, but for a lost GPU, which finishes those that wait with the same error.
    Takes no jobs before `accept`.
    """

    def __init__(
        self,
        queue_size: int,
        on_defect: Callable[[BaseException], object],
        on_success: Callable[[], object] = lambda: None,
        on_lost: Callable[[GpuLostError], object] = lambda _: None,
    ) -> None:
        """queue_size: number of jobs that may wait at each door. on_defect: called in the worker's thread with what
        isn't the fault of a request: an exception that is no GarError, or one with INTERNAL_ERROR. on_success: called
        there after each job that had a result. on_lost: called there when the GPU is lost, before jobs hear of it."""
        self._queue_size = queue_size
        self._on_defect, self._on_success, self._on_lost = on_defect, on_success, on_lost
        self._changed = threading.Condition()
        self._waiting: FairQueue[Job[Any, Any]] = FairQueue(queue_size)
        self._running: Job[Any, Any] | None = None
        self._accepting = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gar_worker")
        self._thread.start()

    def submit(self, work: Callable[[CancelCheck], T], timeout: float, caller: Caller | None = None) -> Job[Any, T]:
        """The queued job of work that yields no items and returns the result. Otherwise see `stream`."""

        def without_items(raise_if_cancelled: CancelCheck) -> Generator[Any, None, T]:
            yield from ()
            return work(raise_if_cancelled)

        return self.stream(without_items, timeout, caller)

    def stream(
        self, work: Callable[[CancelCheck], Generator[Item, None, T]], timeout: float, caller: Caller | None = None
    ) -> Job[Item, T]:
        """The queued job of `work`. timeout: seconds from now after which the job has failed. caller: whose job it is;
        None: it is background work.

        Raises GarError QUEUE_FULL or NOT_ACTIVE at once. A job of a caller with many may be stopped with QUEUE_FULL
        later, when one with few comes.
        """
        caller = caller or background()
        job = Job(work, timeout, caller)
        with self._changed:
            if not self._accepting:
                raise GarError(ErrorCode.NOT_ACTIVE, "the node is not active: activate it")
            leaving = self._waiting.add(job, caller)
            self._changed.notify()
        if leaving is not None:
            size = self._queue_size
            full = f"the queue is full ({size} of {size} waiting); retry later or raise request.queue_size"
            if leaving is job:
                raise GarError(ErrorCode.QUEUE_FULL, full)
            leaving.stop(GarError(ErrorCode.QUEUE_FULL, full))
        return job

    def is_idle_for(self, caller: Caller) -> bool:
        """Whether this caller may submit background work such as a keyframe: no request runs or waits, and no other
        work of this caller. That of others may, since each takes its turn."""
        with self._changed:
            jobs = [*self._waiting, *filter(None, [self._running])]
            return all(job.caller.is_background and job.caller != caller for job in jobs)

    @property
    def has_requests(self) -> bool:
        """Whether requests wait, so that background work such as a published scene graph should end."""
        return self.requests_waiting > 0

    @property
    def requests_waiting(self) -> int:
        """Number of requests that wait."""
        with self._changed:
            return sum(not job.caller.is_background for job in self._waiting)

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits, so that background work which can go on later, such as watches, should make way."""
        with self._changed:
            return bool(self._waiting)

    def accept(self) -> None:
        """Accepts jobs from now on."""
        with self._changed:
            self._accepting = True

    def pause(self, error: GarError) -> None:
        """Accepts no more jobs and finishes the waiting and the running ones with `error`. Returns at once."""
        with self._changed:
            self._accepting = False
            for job in [*self._waiting, *filter(None, [self._running])]:
                job.stop(error)
            self._waiting.clear()

    def close(self, error: GarError) -> None:
        """Pauses, then waits until the thread has ended, which is at the running work's next check."""
        self.pause(error)
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.run()
                self._on_success()
            except GpuLostError as error:
                with suppress(BaseException):  # the replies mustn't depend on it
                    self._on_lost(error)
                self.pause(error)
            except GarError as error:
                job.stop(error)
                if error.code is ErrorCode.INTERNAL_ERROR:  # it isn't the request's fault
                    self._tell_defect(error)
            except BaseException as error:  # noqa: BLE001 whatever it is, only this request may suffer from it
                job.stop(GarError(ErrorCode.INTERNAL_ERROR, f"{reason_of(error)}; see the node's log"))
                self._tell_defect(error)

    def _tell_defect(self, error: BaseException) -> None:
        with suppress(BaseException):  # telling it mustn't end the thread either
            self._on_defect(error)

    def _next(self) -> Job[Any, Any] | None:
        """The next job that has not timed out; waits for it. None when the worker is being closed."""
        with self._changed:
            self._running = None
            while not self._closing:
                self._running = self._waiting.pop()
                if self._running is not None:
                    return self._running
                self._changed.wait()
        return None
