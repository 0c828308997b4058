# SPDX-License-Identifier: Apache-2.0
"""How a caller stops work between two of its steps, such as two tokens."""

from __future__ import annotations

from collections.abc import Callable

CancelCheck = Callable[[], None]
"""Called between steps. Raises GarError, for instance TIMED_OUT or CANCELLED, to stop the work."""


def never_cancelled() -> None:
    """A CancelCheck that never stops the work."""
