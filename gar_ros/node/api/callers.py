# SPDX-License-Identifier: Apache-2.0
"""Who calls, as well as rclpy tells."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextvars import ContextVar
from itertools import count

REQUEST_NUMBER: ContextVar[int] = ContextVar("REQUEST_NUMBER", default=0)
"""Sequence number of the service request that the present callback was called for."""

_KEPT = 256
"""Clients remembered at one door; the one that is silent for the longest is forgotten."""


class Callers:
    """Tells the clients of one service or action apart.

    rclpy (7.1) hides the id of a request's writer, but it tells the request's sequence number, which the middleware
    counts for each client alone: the request that follows number 7 is number 8 of the same client. Two clients that
    have got equally far may be taken for each other; a client that floods has left all others behind. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = count(1)
        self._last: OrderedDict[int, int] = OrderedDict()
        """The number of each client's last request; the client that asked last comes last."""

    def client_of(self, number: int) -> int:
        """The client whose request has this sequence number."""
        with self._lock:
            before = [client for client, last in self._last.items() if last < number]
            # The nearest one before; of equal ones that which asked first, as if they took turns.
            client = max(before, key=lambda one: self._last[one]) if before else next(self._ids)
            self._last[client] = number
            self._last.move_to_end(client)
            if len(self._last) > _KEPT:
                self._last.popitem(last=False)
            return client
