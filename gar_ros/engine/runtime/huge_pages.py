# SPDX-License-Identifier: Apache-2.0
"""Weights in huge pages, so that a token reads them at the rate of the memory and not at that of its page tables.

A decoder's weights are read whole for each token. In pages of 4 KiB, the processor looks up a page for each 4 KiB of
them; in pages of 2 MiB, GAR-1B's tokens take a fifth less time (docs/performance.md). Linux's usual setting gives huge
pages only to who asks, and ONNX Runtime doesn't.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_HUGE = 2 << 20  # bytes, on x86-64 and on ARM with its usual pages of 4 KiB
_MADV_COLLAPSE = 25  # of Linux 6.1 and newer

_log = logging.getLogger(__name__)


def use_huge_pages() -> int:
    """Moves this process's memory into huge pages, where whole ones of it are in use; returns their bytes.

    To be called when weights have been loaded. No memory is taken that wasn't in use. Where the system has no huge
    pages to give, or isn't Linux from 6.1 on, all stays as it is and 0 is returned.
    """
    if sys.platform != "linux" or mmap.PAGESIZE >= _HUGE:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    moved = 0
    for start in _whole_in_use(libc, _own_memory(_MAPS.read_text().splitlines())):
        # One by one, since one whose pages another thread holds at this moment fails all that it is moved with.
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(_HUGE), _MADV_COLLAPSE) == 0:
            moved += _HUGE
    _log.debug("%d MB of memory are in huge pages", moved // 1_000_000)
    return moved


def _own_memory(maps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """First address and the one behind the last, of each part of the memory that no file or other process shares."""
    for line in maps:
        addresses, access, _, _, inode, *_ = line.split()
        if access == "rw-p" and inode == "0":
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end


def _whole_in_use(libc: ctypes.CDLL, parts: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Addresses of the huge pages all of whose pages are in memory."""
    pages = _HUGE // mmap.PAGESIZE
    for start, end in parts:
        first, last = -(-start // _HUGE) * _HUGE, end // _HUGE * _HUGE
        if first >= last:
            continue
        in_memory = (ctypes.c_ubyte * ((last - first) // mmap.PAGESIZE))()
        if libc.mincore(ctypes.c_void_p(first), ctypes.c_size_t(last - first), in_memory) != 0:
            continue  # it has been given back meanwhile
        flags = bytes(in_memory)
        for number in range((last - first) // _HUGE):
            if all(flag & 1 for flag in flags[number * pages : (number + 1) * pages]):
                yield first + number * _HUGE
