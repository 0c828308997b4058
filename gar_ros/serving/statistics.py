# SPDX-License-Identifier: Apache-2.0
"""Counts of requests by outcome, and how long answers took."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque

import numpy as np

from gar_ros.errors import ErrorCode

_log = logging.getLogger(__name__)

WINDOW = 200
"""Number of newest answers whose latencies are kept."""


class RequestStatistics:
    """Counts requests by their outcome and keeps the newest latencies. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[ErrorCode] = Counter()
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def add(self, code: ErrorCode, seconds: float) -> None:
        """Counts a request that was replied to with `code`, `seconds` after its arrival."""
        _log.debug("a request was replied to with %s after %.1f ms", code.name, seconds * 1e3)
        with self._lock:
            self._outcomes[code] += 1
            if code is ErrorCode.OK:
                self._seconds.append(seconds)

    def outcomes(self) -> dict[ErrorCode, int]:
        """The number of requests by outcome."""
        with self._lock:
            return dict(self._outcomes)

    def latency(self) -> tuple[float, float]:
        """Median and 95th percentile of the latencies of the newest answers, seconds; NaN before the first answer."""
        with self._lock:
            seconds = list(self._seconds)
        if not seconds:
            return float("nan"), float("nan")
        median, late = np.percentile(seconds, (50, 95))
        return float(median), float(late)
