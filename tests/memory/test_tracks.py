# SPDX-License-Identifier: Apache-2.0
"""Which region is which object over time, and what is remembered of each."""

from __future__ import annotations

import numpy as np
import pytest

from gar_ros.frame import Frame, Sighting
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.tracks import TrackMemory, TrackState
from gar_ros.region import Region

S = 1_000_000_000
LOST = 2 * S


class Detected:
    """Regions of an 8 x 2 image; "cup:3" has the label "cup" and the id "3"."""

    def __init__(self, *names: str) -> None:
        self._labels = {name.partition(":")[2] or name: name.partition(":")[0] if ":" in name else "" for name in names}

    def ids(self) -> tuple[str, ...]:
        return tuple(self._labels)

    def region(self, region_id: str) -> Region:
        return Region.from_box(region_id, (list(self._labels).index(region_id), 0, 8, 2), (8, 2))

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name, label, 0.5) for name, label in self._labels.items()]


def frame(second: float, *names: str) -> Frame:
    return Frame(round(second * S), "camera", (8, 2), lambda: np.zeros((2, 8, 3), np.uint8), Detected(*names))


def ids(frame: Frame) -> tuple[str, ...]:
    assert frame.regions is not None
    return frame.regions.ids()


@pytest.fixture
def memory() -> TrackMemory:
    return TrackMemory(DetectorIds(LOST), confirm_after=2, lost_ns=LOST, capacity=4, images=2)


def states(memory: TrackMemory) -> dict[str, TrackState]:
    return {track.id: state for track, state in memory.tracks()}


def test_ids_stay_through_a_short_occlusion_and_carry_their_history(memory: TrackMemory) -> None:
    assert ids(memory.follow(frame(1.0, "cup:3", "4"))) == ("3", "4")
    assert states(memory) == {"3": TrackState.TENTATIVE, "4": TrackState.TENTATIVE}
    memory.follow(frame(2.0, "cup:3"))
    assert states(memory) == {"3": TrackState.CONFIRMED, "4": TrackState.TENTATIVE}
    memory.follow(frame(2.5, "4"))
    assert states(memory) == {"4": TrackState.CONFIRMED, "3": TrackState.COASTING}
    assert ids(memory.follow(frame(3.0, "3"))) == ("3",)
    (cup, _), _ = memory.tracks()
    assert (cup.id, cup.label, cup.first_ns, cup.last_ns, cup.frames, cup.score) == ("3", "cup", S, 3 * S, 3, 0.5)


def test_a_scene_may_be_empty_from_its_first_image_on(memory: TrackMemory) -> None:
    assert ids(memory.follow(frame(1.0))) == ()
    assert memory.tracks() == []
    assert ids(memory.follow(frame(1.1, "3"))) == ("3",)


def test_an_id_that_comes_back_late_is_another_object(memory: TrackMemory) -> None:
    for second, names in ((1.0, "34"), (2.5, "4"), (3.5, "4")):
        memory.follow(frame(second, *names))
    assert states(memory)["3"] is TrackState.LOST
    again = memory.follow(frame(3.6, "3", "4"))
    assert ids(again) == ("3#2", "4")
    assert again.regions is not None and again.regions.region("3#2").id == "3#2"
    assert ids(memory.follow(frame(9.0, "3"))) == ("3#3",)


def test_a_restarted_detector_that_gives_an_id_to_something_else_is_noticed_by_its_label(memory: TrackMemory) -> None:
    memory.follow(frame(1.0, "cup:1"))
    assert ids(memory.follow(frame(1.1, "bowl:1"))) == ("1#2",)
    assert ids(memory.follow(frame(1.2, "1"))) == ("1#2",), "no label says nothing"
    assert {track.id: track.label for track, _ in memory.tracks()} == {"1": "cup", "1#2": "bowl"}


def test_no_id_is_used_again_after_stamps_have_gone_back(memory: TrackMemory) -> None:
    memory.follow(frame(100.0, "1"))
    memory.clear()
    assert memory.tracks() == []
    assert ids(memory.follow(frame(1.0, "1", "2"))) == ("1#2", "2")


def test_what_is_out_of_view_is_found_in_its_last_image(memory: TrackMemory) -> None:
    together, alone = frame(1.0, "a", "b"), frame(2.0, "b")
    memory.follow(together)
    memory.follow(alone)
    assert memory.last_showing(["a"]) is together
    assert memory.last_showing(["a", "b"]) is together
    assert memory.last_showing(["b"]) is alone
    assert memory.last_showing(["a", "x"]) is None


def test_images_and_tracks_are_bounded(memory: TrackMemory) -> None:
    for second, name in enumerate("abcdef"):
        memory.follow(frame(second, name))
    assert [track.id for track, _ in memory.tracks()] == ["f", "c", "d", "e"], "of six, the newest four"
    assert memory.last_showing(["c"]) is None, "the image in view and two others are held"
    assert memory.last_showing(["d"]) is not None
