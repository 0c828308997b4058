"""How work is stopped between two steps."""

from __future__ import annotations

from collections.abc import Callable

CancelCheck = Callable[[], None]
"""Called between steps; raises GarError (TIMED_OUT, CANCELLED) to stop."""


def never_cancelled() -> None:
    """A CancelCheck that never stops the work."""
