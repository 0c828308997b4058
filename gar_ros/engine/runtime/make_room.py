# SPDX-License-Identifier: Apache-2.0
"""Who forgets what when a GPU's memory is full."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakMethod

_log = logging.getLogger(__name__)


class MakeRoom:
    """Has caches forget what they can miss, between the first and the second try of what memory didn't suffice for."""

    def __init__(self) -> None:
        # Weak: caches know their runtime, and a circle would keep the model until Python's collector comes by.
        self._forget: WeakMethod[Callable[[], object]] | None = None
        self._too: list[WeakMethod[Callable[[], object]]] = []

    def ask(self, forget: Callable[[], object]) -> None:
        """Calls `forget` from now on, in place of an earlier one. forget: a method of what is kept elsewhere."""
        self._forget = WeakMethod(forget)

    def ask_too(self, forget: Callable[[], object]) -> None:
        """Calls `forget` from now on, beside all others. forget: a method of what is kept elsewhere."""
        self._too.append(WeakMethod(forget))

    def __call__(self) -> bool:
        """Whether somebody was asked to forget, so that a second try makes sense."""
        asked = [forget for forget in (one() for one in [self._forget, *self._too] if one is not None) if forget]
        if not asked:
            return False
        _log.warning("the GPU's memory is full: caches are emptied, and what failed is tried once more")
        for forget in asked:
            forget()
        return True
