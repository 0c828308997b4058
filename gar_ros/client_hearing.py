# SPDX-License-Identifier: Apache-2.0
"""What a client hears of a goal while it goes on, passed on to the planner's function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from gar_ros.action import WatchRegions

OnLook = Callable[[WatchRegions.Feedback], object]


class Hearing:
    """Calls the planner's function with what comes, until that raises or the goal is over."""

    def __init__(self, tell: Callable[[Any], object] | None, cancel: threading.Event | None) -> None:
        """tell: the planner's function. cancel: set by the planner to end the goal."""
        self._tell, self._cancel = tell, cancel
        self._lock = threading.Lock()
        self._over = False
        self.began = False
        """Whether something was heard."""
        self.error: BaseException | None = None
        """What the planner's function raised; not in the executor's thread, which serves others too."""

    def look(self, stop: Callable[[], None]) -> None:
        """To be called again and again. stop: ends the goal. Raises what the planner's function raised."""
        if self.error is not None or (self._cancel is not None and self._cancel.is_set()):
            stop()
        self.raise_error()

    def raise_error(self) -> None:
        """Raises what the planner's function raised."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Nothing is passed on any more, such as feedback that DDS delivers after the result."""
        with self._lock:
            self._over = True
        self.raise_error()

    def _pass_on(self, part: Any) -> None:
        self.began = True
        if self._tell is not None and self.error is None and not self._over:
            try:
                self._tell(part)
            except BaseException as error:  # noqa: BLE001 raised again by the planner's call
                self.error = error


class HeardText(Hearing):
    """A text that grows. DDS may drop feedback and deliver it after the result; no part is passed on twice."""

    _text = ""

    def grow(self, text: str) -> None:
        """Takes the whole text so far; a shorter one came late and has nothing new."""
        with self._lock:
            if len(text) > len(self._text):
                added, self._text = text[len(self._text) :], text
                self._pass_on(added)


class HeardLooks(Hearing):
    """The looks of a watch; one that comes late is not passed on."""

    _looks = 0

    def take(self, look: WatchRegions.Feedback) -> None:
        """Takes a look."""
        with self._lock:
            if look.looks > self._looks:
                self._looks = look.looks
                self._pass_on(look)
