# SPDX-License-Identifier: Apache-2.0
"""How many messages were lost between a publisher and here, by the numbers that the middleware gives them."""

from __future__ import annotations

_LONGEST = 100
"""Missing numbers beyond which a message counts as another publisher's."""


class Gaps:
    """Counts the numbers that are missing. A message is lost on its way, or since a newer one came before it was taken.

    A number that goes back, or far ahead, is another publisher's, with which counting begins anew.
    """

    def __init__(self) -> None:
        self.missing = 0
        self._last: int | None = None

    def saw(self, number: int | None) -> None:
        """A message with this number came; None where the middleware counts none."""
        if number is None:
            return
        if self._last is not None and 0 < (gap := number - self._last - 1) <= _LONGEST:
            self.missing += gap
        self._last = number
