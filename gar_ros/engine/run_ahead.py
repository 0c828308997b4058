# SPDX-License-Identifier: Apache-2.0
"""How many tokens a device is asked for beyond the one that the host waits for.

A device that waits for the host between two tokens loses the time that the host needs to look at one and to ask for the
next. With the next token's run in its queue it doesn't. But what is in the queue when a text ends, or is cancelled, is
computed in vain, and keeps the next request waiting.
"""

from __future__ import annotations

from time import perf_counter

QUEUED_SECONDS = 0.05
"""How long the device may be busy with what is in its queue: half of the 100 ms in which a cancelled request is to make
room for the next; the other half goes to the token that the host waits for."""

MOST_AHEAD = 4
"""Enough for the host to be late by some tokens now and then."""


class RunAhead:
    """The number of runs in the queue for one text."""

    def __init__(self, possible: bool) -> None:
        """possible: whether the device can be asked ahead at all."""
        self.count = int(possible)
        self._possible = possible
        self._tokens = 0
        self._first = 0.0

    def arrived(self) -> None:
        """A token has come. The mean time between tokens tells how many fit into QUEUED_SECONDS."""
        if not self._possible:
            return
        now = perf_counter()
        if not self._tokens:
            self._first = now
        elif (seconds := (now - self._first) / self._tokens) > 0:
            self.count = min(MOST_AHEAD, int(QUEUED_SECONDS / seconds))
        self._tokens += 1
