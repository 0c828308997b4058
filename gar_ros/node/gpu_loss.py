# SPDX-License-Identifier: Apache-2.0
"""The end of a process whose GPU is lost: CUDA fails whatever it asks, and another process can go on."""

from __future__ import annotations

import os
import sys
import threading

from gar_ros.errors import GpuLostError

EXIT_CODE = os.EX_TEMPFAIL
"""Of the process then: 75, which means that another try is worth it."""


class GpuLoss:
    """Whether the GPU is lost. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._kept: object = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def note(self, model: object) -> None:
        """From now on it is. model: what must not be freed, as the GPU's libraries may hang or abort when it is."""
        self._kept = model
        self._event.set()

    def end_process(self) -> None:
        """Ends it at once if the GPU is lost, without freeing the model."""
        if self:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(EXIT_CODE)


def describe(error: GpuLostError) -> str:
    """What log and diagnostics say."""
    return (
        f"the GPU is lost: {error.message}; the process ends with exit code {EXIT_CODE} (see respawn of gar.launch.py)"
    )
