# SPDX-License-Identifier: Apache-2.0
"""The queue in which callers take turns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.serving.fair_queue import Caller, FairQueue

KEYFRAMES, LOOKS = Caller("node", 0), Caller("watches", 0)
ANN, BOB, EVE = (Caller("services", number) for number in range(3))
GOALS = Caller("goals", 0)
WRIST, OTHER_WRIST = (Caller("services", number, "wrist") for number in range(2))


@dataclass(eq=False)
class Waiting:
    name: str
    finished: bool = False


def filled(size: int, *callers: Caller) -> tuple[FairQueue[Waiting], list[Waiting]]:
    """A queue with one entry, named by its index, of each of these callers."""
    queue: FairQueue[Waiting] = FairQueue(size)
    entries = [Waiting(str(index)) for index in range(len(callers))]
    for entry, caller in zip(entries, callers, strict=True):
        assert queue.add(entry, caller) is None
    return queue, entries


def drained(queue: FairQueue[Waiting]) -> str:
    """The names of all entries in their order."""
    names = ""
    while (entry := queue.pop()) is not None:
        names += entry.name
    return names


def test_requests_come_before_background_work_whenever_they_came() -> None:
    queue, _ = filled(4, LOOKS, KEYFRAMES, ANN, WRIST)
    assert drained(queue) == "2301"


def test_entries_of_one_caller_keep_their_order() -> None:
    assert drained(filled(4, ANN, ANN, ANN)[0]) == "012"


def test_callers_take_turns() -> None:
    assert drained(filled(9, ANN, ANN, ANN, BOB, BOB, EVE)[0]) == "035142"


def test_a_full_queue_refuses_whoever_has_as_many_places_as_anybody() -> None:
    queue, _ = filled(2, ANN, BOB)
    for caller in (ANN, BOB, EVE):
        late = Waiting("late")
        assert queue.add(late, caller) is late
    assert drained(queue) == "01"


def test_whoever_floods_makes_room_for_others_until_all_have_the_same() -> None:
    queue, entries = filled(4, EVE, EVE, EVE, EVE)
    assert queue.add(Waiting("a"), ANN) is entries[3], "the newest one"
    assert queue.add(Waiting("b"), ANN) is entries[2]
    late = Waiting("c")
    assert queue.add(late, ANN) is late
    assert queue.add(Waiting("d"), BOB) is entries[1]
    assert drained(queue) == "0adb"


def test_each_door_has_all_places_for_itself() -> None:
    queue, _ = filled(2, ANN, ANN)
    assert queue.add(Waiting("a"), GOALS) is None
    assert queue.add(Waiting("b"), GOALS) is None
    late = Waiting("c")
    assert queue.add(late, GOALS) is late


def test_cameras_take_turns_however_many_ask_about_one() -> None:
    assert drained(filled(9, ANN, BOB, EVE, WRIST, WRIST)[0]) == "03142"


def test_callers_of_one_camera_take_turns_within_its_turns() -> None:
    assert drained(filled(9, ANN, ANN, BOB, WRIST, WRIST, OTHER_WRIST)[0]) == "032514"


def test_a_camera_that_is_flooded_takes_no_place_of_another() -> None:
    queue, _ = filled(2, EVE, EVE)
    assert queue.add(Waiting("a"), WRIST) is None
    assert queue.add(Waiting("b"), WRIST) is None
    late = Waiting("c")
    assert queue.add(late, WRIST) is late


def test_what_is_finished_needs_no_place_and_has_no_turn() -> None:
    queue, entries = filled(2, ANN, ANN)
    entries[0].finished = True
    assert queue.add(Waiting("a"), ANN) is None
    assert [entry.name for entry in queue] == ["1", "a"]
    entries[1].finished = True
    assert drained(queue) == "a" and not queue


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.integers(1, 5), st.lists(st.sampled_from([ANN, BOB, EVE, GOALS, WRIST, None]), max_size=40))
def test_nobody_is_lost_or_kept_twice(size: int, steps: list[Caller | None]) -> None:
    queue: FairQueue[Waiting] = FairQueue(size)
    told: Counter[Waiting] = Counter()
    for number, caller in enumerate(steps):
        entry = queue.pop() if caller is None else queue.add(Waiting(str(number)), caller)
        if entry is not None:
            told[entry] += 1
        assert len(list(queue)) <= 3 * size
    while (entry := queue.pop()) is not None:
        told[entry] += 1
    assert set(told.values()) <= {1}
    assert len(told) == sum(caller is not None for caller in steps)
