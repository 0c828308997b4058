"""How work is stopped between two steps."""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], None]
"""Called between steps; raises GarError (TIMED_OUT, CANCELLED) to stop."""


def no_check() -> None:
    """A Check that never stops the work."""
