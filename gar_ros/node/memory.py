# SPDX-License-Identifier: Apache-2.0
"""Keeps the memory of a process with many threads and large images small. Only glibc needs it, and understands it."""

from __future__ import annotations

import ctypes
import gc

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of malloc.h
_M_TRIM_THRESHOLD = -1
_LARGE = 32 << 20
"""Bytes from which a block is mapped by itself; the largest that glibc takes. Camera images are smaller: mapping, and a
page fault for every 4 KiB, took 6 ms of an image of 1280x720 where the same memory used again takes 1 ms."""
_LEFT_FREE = 8 << 20
"""Bytes at the end of a heap that may stay there unused. With 64 MiB, 50 lifecycles of the node left 20 MB behind."""
_ARENAS = 2


def keep_small() -> None:
    """At the start of the process. By default each thread has a heap of its own, and large images come to lie there.

    With eight planners and images of 1280x720 the node had 900 MiB so, and has 600 with these limits.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _LEFT_FREE)
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """After much was let go of: gives freed memory back to the system.

    Without it each lifecycle of a node that was asked something left 5 to 20 MB behind.
    """
    gc.collect()  # what refers to each other in a circle goes first
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
