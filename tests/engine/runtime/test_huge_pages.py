# SPDX-License-Identifier: Apache-2.0
"""Memory in huge pages, on the real kernel of this machine."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gar_ros.engine.runtime import ort
from gar_ros.engine.runtime.huge_pages import use_huge_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux only")

HUGE = 2 << 20


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Sixteen MiB that begin at any page; nothing of them is in use yet."""
    with mmap.mmap(-1, 8 * HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_DONTFORK)  # so that the kernel doesn't join it with a neighbour, whose pages would count
        yield area


def kilobytes(area: mmap.mmap, kind: str) -> int:
    """What the kernel says of the mapping that holds the area: such as `Rss`."""
    view = ctypes.c_char.from_buffer(area)
    address = ctypes.addressof(view)
    del view
    holds = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
            holds = int(found[1], 16) <= address < int(found[2], 16)
        elif holds and line.startswith(f"{kind}:"):
            return int(line.split()[1])
    raise AssertionError(f"no mapping holds {address:x}")


def test_memory_in_use_is_moved_and_keeps_its_values(memory: mmap.mmap) -> None:
    pattern = bytes(range(256)) * (len(memory) // 256)
    memory[:] = pattern
    before = kilobytes(memory, "AnonHugePages")
    if use_huge_pages() == 0:
        pytest.skip("this system has no huge pages to give (Linux before 6.1, or none are allowed)")
    # Not all of them, perhaps: the system moves none of which another thread or the system itself holds a page.
    assert kilobytes(memory, "AnonHugePages") - before >= HUGE >> 10
    assert memory[:] == pattern


def test_memory_that_is_not_in_use_is_not_taken(memory: mmap.mmap) -> None:
    """A page in the middle of each huge page is missing."""
    for start in range(0, len(memory), mmap.PAGESIZE):
        if start % (HUGE // 2):
            memory[start] = 1
    before = kilobytes(memory, "Rss")
    use_huge_pages()
    assert kilobytes(memory, "AnonHugePages") == 0
    assert kilobytes(memory, "Rss") - before < 4 * 8  # the missing pages, two in each of eight


def test_where_the_system_gives_none_all_stays_as_it_is(
    memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is mapped at these addresses."""
    maps = tmp_path / "maps"
    maps.write_text(f"{0x10000000:x}-{0x20000000:x} rw-p 00000000 00:00 0 \n")
    monkeypatch.setattr("gar_ros.engine.runtime.huge_pages._MAPS", maps)
    assert use_huge_pages() == 0


def test_shared_memory_is_left_alone() -> None:
    with mmap.mmap(-1, 8 * HUGE) as shared:
        shared[:] = bytes(len(shared))
        use_huge_pages()
        assert kilobytes(shared, "ShmemPmdMapped") == 0


@pytest.mark.parametrize(("large", "times"), [(1, 1), (1 << 40, 0)])
def test_a_graph_with_large_weights_asks_for_them(
    large: int, times: int, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ort, "_LARGE_WEIGHTS", large)
    monkeypatch.setattr(ort, "use_huge_pages", lambda: asked.append(1))
    ort.OrtRuntime("cpu", 1).load(checkout / "models" / "gar-tiny" / "replay.onnx")
    assert len(asked) == times
