# SPDX-License-Identifier: Apache-2.0
"""Work of the host in several threads, for what lets go of Python's lock: NumPy's loops and products, and hashes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """The results of `work`, in the order of the items. threads: at most; 0 for all cores that the process may use.

    Raises what `work` raises.
    """
    count = min(threads or len(os.sched_getaffinity(0)), len(items))
    if count < 2:
        return list(map(work, items))
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, items))
