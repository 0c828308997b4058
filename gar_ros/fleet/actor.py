# SPDX-License-Identifier: Apache-2.0
"""What runs in the process of a worker on Ray: one worker with its model, which does a job at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray

from gar_ros.errors import ErrorCode, GarError, GpuLostError
from gar_ros.fleet.work import Worker

_DIED = 3
"""Exit code of a process that ends so that Ray starts another."""
WATCH = "watch"
"""The thread in which a worker tells how far it is, while another thread does the job."""


@dataclass(frozen=True)
class Refused:
    """A GarError on its way to the process that waits for it."""

    code: ErrorCode
    message: str

    def error(self) -> GarError:
        """The error to raise."""
        return GarError(self.code, self.message)


class StoppedError(KeyboardInterrupt):
    """Work that nobody waits for any more: the command was interrupted. Nothing catches it on its way."""


class WorkerActor:
    """Ray makes one of each process of the pool, and makes it anew when the process died."""

    def __init__(self, open_worker: Callable[[], Worker[Any, Any]]) -> None:
        self._open = open_worker
        self._worker: Worker[Any, Any] | None = None
        self._images = 0
        self._stopped = False

    def ready(self) -> Refused | None:
        """Loads the model; what is wrong with it."""
        try:
            self._opened()
        except GarError as error:
            return Refused(error.code, error.message)
        return None

    def work(self, index: int, job: Any) -> tuple[int, Any]:
        """The job's index and its result, which is Refused for a GarError."""
        self._images = 0
        try:
            return index, self._opened()(job, self._tick)
        except GpuLostError:
            os._exit(_DIED)  # only a new process can use the GPU again; Ray tries the job once more there
        except GarError as error:
            return index, Refused(error.code, error.message)
        except StoppedError:
            return index, Refused(ErrorCode.CANCELLED, "interrupted")
        finally:
            self._images = 0

    @ray.method(concurrency_group=WATCH, max_task_retries=0)
    def images(self) -> int:
        """How many images of the current job are done."""
        return self._images

    @ray.method(concurrency_group=WATCH, max_task_retries=0)
    def stop(self) -> None:
        """Ends the current job at its next image, and every later one."""
        self._stopped = True

    def _opened(self) -> Worker[Any, Any]:
        if self._worker is None:
            self._worker = self._open()
        return self._worker

    def _tick(self, images: int) -> None:
        self._images = images
        if self._stopped:
            raise StoppedError
