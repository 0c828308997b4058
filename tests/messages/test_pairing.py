# SPDX-License-Identifier: Apache-2.0
"""Messages of camera and detectors become frames with regions: by stamps, by message_filters' rules, on one path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.frame import Frame
from gar_ros.messages.headers import header_message, stamp_message
from gar_ros.messages.images import image_message
from gar_ros.messages.pairing import Arrival, FramePairing, Input, StampPairing
from gar_ros.messages.regions import region_array_message
from gar_ros.messages.ros_libraries import ros_library
from gar_ros.msg import RegionArray
from gar_ros.region import Region
from gar_ros.settings.inputs import InputSettings, SyncSettings

MS = 1_000_000
SECOND = 1_000_000_000
IMAGE, REGIONS = 0, 1


def pairs_of(arrivals: list[tuple[int, int]], slop_ns: int | None, queue_size: int = 10) -> list[tuple[int, int]]:
    """Pairs made of messages that arrive as (stream, stamp); a message is its own stamp."""
    pairing = StampPairing(queue_size, slop_ns)
    made = [pairing.add(stream, stamp, stamp) for stream, stamp in arrivals]
    return [pair for pair in made if pair is not None]


def test_exact_pairs_have_equal_stamps_whichever_arrives_first() -> None:
    arrivals = [(IMAGE, 1), (IMAGE, 2), (REGIONS, 1), (REGIONS, 3), (IMAGE, 3)]
    assert pairs_of(arrivals, None) == [(1, 1), (3, 3)]


def test_exact_pairing_takes_nothing_that_is_a_nanosecond_off() -> None:
    assert pairs_of([(IMAGE, 1000), (REGIONS, 1001)], None) == []


def test_approximate_pairs_take_the_nearest_stamp_within_the_slop() -> None:
    arrivals = [(IMAGE, 0), (IMAGE, 33 * MS), (IMAGE, 66 * MS), (REGIONS, 40 * MS)]
    assert pairs_of(arrivals, 20 * MS) == [(33 * MS, 40 * MS)]


def test_the_slop_itself_is_too_far() -> None:
    assert pairs_of([(IMAGE, 0), (REGIONS, 20 * MS)], 20 * MS) == []
    assert pairs_of([(IMAGE, 0), (REGIONS, 20 * MS - 1)], 20 * MS) == [(0, 20 * MS - 1)]


def test_a_message_is_used_once() -> None:
    assert pairs_of([(IMAGE, 0), (REGIONS, 1 * MS), (REGIONS, 2 * MS)], 20 * MS) == [(0, 1 * MS)]


def test_the_oldest_stamps_leave_a_full_queue() -> None:
    assert pairs_of([(IMAGE, 1), (IMAGE, 2), (IMAGE, 3), (REGIONS, 1), (REGIONS, 2)], None, queue_size=2) == [(2, 2)]


def pairs_by_message_filters(
    filters: Any, arrivals: list[tuple[int, int]], slop_ns: int | None, queue_size: int
) -> list[tuple[int, int]]:
    """As `pairs_of`, by ROS's own library."""
    streams = (filters.SimpleFilter(), filters.SimpleFilter())
    if slop_ns is None:
        synchroniser = filters.TimeSynchronizer(streams, queue_size)
    else:
        synchroniser = filters.ApproximateTimeSynchronizer(streams, queue_size, slop_ns / 1e9)
    pairs: list[tuple[int, int]] = []
    synchroniser.registerCallback(lambda *messages: pairs.append(tuple(one.header.stamp.nanosec for one in messages)))
    for stream, stamp in arrivals:
        streams[stream].signalMessage(Image(header=Header(stamp=stamp_message(stamp))))
    return pairs


@pytest.mark.parametrize("slop_ms", [None, 5, 20, 60])
def test_pairs_are_those_of_message_filters(slop_ms: int | None) -> None:
    """On random arrivals: late, out of order, repeated, and more than the queues hold."""
    filters = ros_library("message_filters", "message_filters")
    if filters is None:
        pytest.skip("message_filters is not installed: robots have it from apt, PyPI has none")
    chance = np.random.default_rng(slop_ms or 0)
    slop_ns = None if slop_ms is None else slop_ms * MS
    paired = 0
    for _ in range(200):
        count = int(chance.integers(2, 60))
        stamps = chance.integers(1, 60, count) * 5 * MS
        if slop_ns is not None:
            stamps += chance.integers(-2, 3, count)  # nanoseconds: on both sides of the slop
        arrivals = list(zip(chance.integers(0, 2, count).tolist(), stamps.tolist(), strict=True))
        queue_size = int(chance.integers(1, 12))
        pairs = pairs_of(arrivals, slop_ns, queue_size)
        assert pairs == pairs_by_message_filters(filters, arrivals, slop_ns, queue_size), (arrivals, queue_size)
        paired += len(pairs)
    assert paired > 200


SIZE = (6, 4)  # width, height


def image(stamp: int, size: tuple[int, int] = SIZE) -> Image:
    return image_message(np.zeros((size[1], size[0], 3), np.uint8), "rgb8", header_message("camera", stamp))


def detected(stamp: int, *ids: str) -> RegionArray:
    regions = [Region.from_box(one, (0, 0, 2, 2), SIZE) for one in ids or ("cup",)]
    return region_array_message(regions, SIZE, header_message("camera", stamp))


def labels(stamp: int) -> Image:
    return image_message(np.full(SIZE[::-1], 7, np.uint8), "mono8", header_message("camera", stamp))


def pairing(awaited: Callable[[Input], bool] = lambda kind: True, **sync: Any) -> FramePairing:
    return FramePairing(InputSettings(), SyncSettings(**sync), awaited)


def ids_of(arrival: Arrival) -> list[tuple[int, tuple[str, ...]]]:
    """Stamp and region ids of its pairs."""
    return [(frame.stamp_ns, frame.regions.ids()) for frame in arrival.pairs if frame.regions is not None]


def test_an_image_becomes_a_frame_and_with_its_regions_a_copy_of_it() -> None:
    frames = pairing()
    arrival = frames.add(Input.IMAGE, image(SECOND))
    bare = arrival.frame
    assert bare is not None
    assert (bare.stamp_ns, bare.frame_id, bare.size, bare.regions) == (SECOND, "camera", SIZE, None)
    assert (arrival.pairs, arrival.paired, arrival.verdicts) == ([], False, {Input.IMAGE: ""})
    arrival = frames.add(Input.REGIONS, detected(SECOND))
    assert (arrival.stamp_ns, arrival.frame, arrival.paired) == (SECOND, None, True)
    assert ids_of(arrival) == [(SECOND, ("cup",))]
    (pair,) = arrival.pairs
    assert pair.image is bare.image, "converted once for both"
    assert replace(pair, regions=None).image is bare.image


def test_what_is_odd_about_some_detections_costs_no_pair_and_ends_with_a_good_message() -> None:
    frames = pairing()
    frames.add(Input.IMAGE, image(SECOND))
    odd = detected(SECOND, "cup", "bowl")
    odd.regions[0].box.width = 0
    odd.regions[0].mask.data = []
    arrival = frames.add(Input.REGIONS, odd)
    assert ids_of(arrival) == [(SECOND, ("cup", "bowl"))]
    assert arrival.verdicts == {Input.REGIONS: ""}
    (sentence,) = arrival.odd[Input.REGIONS]
    assert sentence.startswith("1 of 2 detections are odd: region 'cup': expected a pixel inside the 6x4 px image")
    frames.add(Input.IMAGE, image(2 * SECOND))
    assert frames.add(Input.REGIONS, detected(2 * SECOND)).odd == {Input.REGIONS: ()}


@pytest.mark.parametrize("by_ids", [True, False])
def test_missing_ids_are_told_where_regions_are_followed_by_ids(by_ids: bool) -> None:
    frames = FramePairing(InputSettings(), SyncSettings(), by_ids=by_ids)
    frames.add(Input.IMAGE, image(SECOND))
    odd = frames.add(Input.REGIONS, detected(SECOND, "", "cup")).odd[Input.REGIONS]
    assert [sentence.partition(" have")[0] for sentence in odd] == ["1 of 2 detections"] * by_ids


def test_regions_may_come_before_their_image() -> None:
    frames = pairing()
    assert frames.add(Input.REGIONS, detected(SECOND)).pairs == []
    arrival = frames.add(Input.IMAGE, image(SECOND))
    assert ids_of(arrival) == [(SECOND, ("cup",))]
    assert arrival.verdicts == {Input.IMAGE: "", Input.REGIONS: ""}


def test_approximate_pairs_have_the_images_stamp() -> None:
    frames = pairing(policy="approximate", slop=0.02)
    frames.add(Input.IMAGE, image(SECOND))
    assert ids_of(frames.add(Input.REGIONS, detected(SECOND + 7 * MS))) == [(SECOND, ("cup",))]


def test_images_wait_only_for_inputs_that_may_come() -> None:
    frames = pairing(awaited=lambda kind: kind is Input.INSTANCES)
    frames.add(Input.IMAGE, image(SECOND))
    assert frames.add(Input.REGIONS, detected(SECOND)).pairs == []
    assert ids_of(frames.add(Input.INSTANCES, labels(SECOND))) == [(SECOND, ("7",))]


def test_a_message_that_was_never_stamped_is_refused() -> None:
    for kind, message in ((Input.IMAGE, image(0)), (Input.REGIONS, detected(0)), (Input.INSTANCES, labels(0))):
        arrival = pairing().add(kind, message)
        assert (arrival.stamp_ns, arrival.frame) == (None, None)
        assert arrival.verdicts[kind].startswith("header.stamp is zero")


def test_what_is_no_camera_image_is_refused() -> None:
    message = image(SECOND)
    message.encoding = "32FC1"
    assert "expected one of the encodings rgb8" in pairing().add(Input.IMAGE, message).verdicts[Input.IMAGE]


def test_regions_that_do_not_fit_their_image_are_refused_when_both_are_there() -> None:
    frames = pairing()
    frames.add(Input.REGIONS, detected(SECOND))
    arrival = frames.add(Input.IMAGE, image(SECOND, (12, 8)))
    assert arrival.frame is not None
    assert (arrival.pairs, arrival.paired, arrival.verdicts[Input.IMAGE]) == ([], False, "")
    assert arrival.verdicts[Input.REGIONS] == ("they are for an image of 6x4 px, the image of that stamp has 12x8 px")


def test_stamps_that_go_back_by_more_than_a_second_start_everything_over() -> None:
    """As when a bag loops: an image must not meet the regions of the round before."""
    frames = pairing()
    frames.add(Input.IMAGE, image(10 * SECOND))
    frames.add(Input.REGIONS, detected(SECOND))
    arrival = frames.add(Input.IMAGE, image(SECOND))
    assert (arrival.restarted, arrival.pairs) == (True, [])
    assert ids_of(frames.add(Input.REGIONS, detected(SECOND, "new"))) == [(SECOND, ("new",))]


def test_stamps_that_go_back_a_little_are_only_late() -> None:
    frames = pairing()
    frames.add(Input.IMAGE, image(10 * SECOND))
    frames.add(Input.REGIONS, detected(9 * SECOND))
    arrival = frames.add(Input.IMAGE, image(9 * SECOND))
    assert (arrival.restarted, len(arrival.pairs)) == (False, 1)


def test_a_label_image_is_left_alone_while_a_detector_describes_the_images() -> None:
    """The detector says more: names, scores, regions that overlap."""
    frames = pairing()
    both = [frames.add(Input.IMAGE, image(10 * SECOND)), frames.add(Input.INSTANCES, labels(10 * SECOND))]
    assert [ids_of(arrival) for arrival in both] == [[], [(10 * SECOND, ("7",))]], "nothing better is known yet"
    frames.add(Input.REGIONS, detected(10 * SECOND))
    soon, later = 11 * SECOND, 12 * SECOND
    frames.add(Input.IMAGE, image(soon))
    arrival = frames.add(Input.INSTANCES, labels(soon))
    assert (arrival.pairs, arrival.paired) == ([], True)
    frames.add(Input.IMAGE, image(later))
    assert ids_of(frames.add(Input.INSTANCES, labels(later))) == [(later, ("7",))], "the detector has gone quiet"


def test_a_region_is_built_once_for_all_who_ask() -> None:
    frames = pairing()
    frames.add(Input.IMAGE, image(SECOND))
    for kind, message, region_id in (
        (Input.REGIONS, detected(SECOND), "cup"),
        (Input.INSTANCES, labels(5 * SECOND), "7"),
    ):
        frames.add(Input.IMAGE, image(5 * SECOND))
        (frame,) = frames.add(kind, message).pairs
        assert built(frame, region_id) is built(frame, region_id)


def built(frame: Frame, region_id: str) -> Region:
    assert frame.regions is not None
    return frame.regions.region(region_id)
