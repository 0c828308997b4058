# SPDX-License-Identifier: Apache-2.0
"""A small budget of changed inputs for every door; `python -m tools.fuzz` has more."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tools.fuzz import doors
from tools.fuzz.__main__ import NAMES, main
from tools.fuzz.bytes_reader import BytesReader
from tools.fuzz.doors import DOORS
from tools.fuzz.mutation import changed_inputs

INPUTS = 300


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools, with NumPy 2
def test_whatever_comes_in_is_read_or_refused(name: str) -> None:
    door = DOORS[name]
    for data in islice(changed_inputs(door.seeds(), seed=1), INPUTS):
        door.enter(data)


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_right_seeds_get_through(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every seed is refused, its changes find nothing behind the first check."""
    kept: list[bool] = []
    monkeypatch.setattr(doors, "_expect", kept.append)
    for data in DOORS[name].seeds():
        DOORS[name].enter(data)
    assert kept
    assert all(kept)


def test_every_door_has_a_name_on_the_command_line() -> None:
    assert tuple(DOORS) == NAMES


def test_changes_are_the_same_for_the_same_seed() -> None:
    seeds = [b"abc", bytes(range(100))]
    first = list(islice(changed_inputs(seeds, 5), 50))
    assert first == list(islice(changed_inputs(seeds, 5), 50))
    assert len(set(first)) > 30


def test_bytes_choose_values_and_their_end_is_zeros() -> None:
    given = BytesReader(bytes([7, 1, 250, 3]))
    assert (given.byte(), given.flag(), given.size(), given.one_of("abcd")) == (7, True, 3, "d")
    assert (given.byte(), given.number(), given.text(["x"]), given.rest()) == (0, 0.0, "x", b"")


def test_a_finding_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        if len(data) > 3:
            raise OverflowError

    monkeypatch.setitem(DOORS, "rle", DOORS["rle"]._replace(enter=broken))
    with pytest.raises(OverflowError):
        main(["rle", "--random", "--seconds", "5", "--findings", str(tmp_path)])
    (finding,) = tmp_path.iterdir()
    with pytest.raises(OverflowError):
        main(["rle", "--input", str(finding)])
