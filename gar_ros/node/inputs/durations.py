# SPDX-License-Identifier: Apache-2.0
"""How long the callbacks of a topic take: while one runs, the next message waits, and then the one before is lost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

WINDOW = 1000
"""Number of newest calls that are remembered."""


class Durations:
    """Measures the newest calls of one callback. Thread-safe."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def timed(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """The callback, each call of which is measured, also one that raises."""

        def call(message: Any) -> None:
            begin = time.monotonic()
            try:
                callback(message)
            finally:
                self._seconds.append(time.monotonic() - begin)

        return call

    def p99(self) -> float:
        """Seconds within which 99 % of the newest calls ended; NaN before the first."""
        seconds = list(self._seconds)
        return float(np.percentile(seconds, 99)) if seconds else float("nan")
