# SPDX-License-Identifier: Apache-2.0
"""What is said when images and detections don't pair up."""

from __future__ import annotations

import pytest

from gar_ros.node.inputs.health import Rules, Stream, why_unpaired

MS = 1_000_000


def seen(topic: str, *stamps_ns: int) -> Stream:
    """A topic that is alive."""
    stream = Stream(topic, publishers=1)
    for stamp in stamps_ns:
        stream.saw(stamp, now=99.5)
    return stream


SECOND = 1_000_000_000


def why(image: Stream, *detections: Stream, slop_ns: int | None = None, queue_size: int = 30) -> str:
    return why_unpaired(image, list(detections), Rules(slop_ns, queue_size), now=100.0, quiet=5.0)


def test_says_that_nobody_publishes() -> None:
    assert why(Stream("/image"), seen("/regions", 1)) == "nobody publishes /image"
    assert why(seen("/image", 1), Stream("/regions"), Stream("/instances")) == (
        "nobody publishes /regions; nobody publishes /instances"
    )


def test_says_where_else_it_is_published() -> None:
    image = Stream("/image", elsewhere="/image/compressed is published: set parameter 'a' to 'b' to use it")
    assert why(image, seen("/regions", 1)).startswith("nobody publishes /image, but /image/compressed is published: ")


def test_names_the_wrong_message_type() -> None:
    stream = Stream("/image", publishers=1, mistyped="/image is published as String")
    assert why(stream, seen("/regions", 1)) == "/image is published as String"


def test_does_not_blame_stamps_that_match() -> None:
    image, regions = seen("/image", SECOND), seen("/regions", SECOND + 3_000_000)
    regions.last_arrival = 99.0
    assert why(image, regions, slop_ns=SECOND) == "the last message on /regions came 1.0 s ago"


def test_does_not_blame_the_mask_topic_that_is_not_in_use() -> None:
    silent = Stream("/instances", publishers=1)
    reason = why(seen("/image", 1), Stream("/regions"), silent)
    assert reason == "/instances has 1 publisher(s) but no message has arrived"


def test_says_which_qos_policy_does_not_match() -> None:
    stream = Stream("/image", publishers=1, incompatible="reliability")
    assert why(stream, seen("/regions", 1)).startswith("/image has a publisher whose QoS policy 'reliability'")


def test_says_what_is_wrong_with_refused_messages() -> None:
    stream = Stream("/image", publishers=1, refused="header.stamp is zero")
    assert why(stream, seen("/regions", 1)) == "messages on /image are refused: header.stamp is zero"


def test_says_since_when_a_topic_is_silent() -> None:
    stream = Stream("/image", publishers=1)
    stream.saw(1, now=90.0)
    assert why(stream, seen("/regions", 1)) == "the last message on /image came 10.0 s ago"


@pytest.mark.parametrize(
    ("slop_ns", "wanted"), [(None, "not with equal stamps"), (20 * MS, "not with stamps less than 20 ms apart")]
)
def test_says_how_far_the_nearest_stamps_are_apart(slop_ns: int | None, wanted: str) -> None:
    reason = why(seen("/image", 0, 100 * MS), seen("/regions", 31 * MS, 175 * MS), slop_ns=slop_ns)
    assert wanted in reason
    assert "the nearest are 31.000 ms apart" in reason
    assert ("set parameter 'sync.policy' to 'approximate'" in reason) == (slop_ns is None)


@pytest.mark.parametrize(
    ("slop_ns", "apart", "advice"),
    [
        (None, 7 * MS, "; or set parameter 'sync.policy' to 'approximate' and 'sync.slop' to 0.0084 or more)"),
        (5 * MS, 7 * MS, "; or set parameter 'sync.slop' to 0.0084 or more)"),
        (None, 1, "; or set parameter 'sync.policy' to 'approximate' and 'sync.slop' to 0.001 or more)"),
        (None, 3 * SECOND, "; compare the clocks of camera and detector)"),  # other images are nearer in time
    ],
)
def test_a_slop_is_only_advised_where_it_would_find_the_right_image(
    slop_ns: int | None, apart: int, advice: str
) -> None:
    images = [number * 100 * MS for number in range(20)]
    reason = why(seen("/image", *images), seen("/regions", images[-1] + apart), slop_ns=slop_ns)
    assert reason.endswith(advice)


def test_a_detector_that_lags_by_more_than_the_queue_is_told_how_long_a_queue_would_do() -> None:
    image = seen("/image", *range(SECOND, 60 * SECOND, SECOND // 10))
    regions = seen("/regions", 50 * SECOND)
    regions.late = image.newer(50 * SECOND, 1)
    assert why(image, regions) == (
        "a message on /regions arrives 99 images later than its own image, but only 30 images wait for their regions: "
        "set parameter 'sync.queue_size' to 150 or more"
    )
    assert "sync.queue_size" not in why(image, regions, queue_size=100)


def test_images_that_come_long_after_their_detections_need_a_longer_queue_too() -> None:
    image, regions = seen("/image", SECOND), seen("/regions", *range(SECOND, 6 * SECOND, SECOND // 10))
    regions.early = regions.newer(SECOND, 1)
    assert "set parameter 'sync.queue_size' to 75 or more" in why(image, regions)


def test_a_lag_beyond_any_queue_needs_another_detector() -> None:
    image, regions = seen("/image", *range(1, 1500)), seen("/regions", 1)
    regions.late = image.newer(1, 1)
    assert "'sync.queue_size' takes 1000 at most, so make the detector faster or the camera slower" in why(
        image, regions
    )


NOW = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    ("image_ns", "regions_ns", "reason"),
    [
        (NOW, 12 * SECOND, "/regions counts simulated time and the other one the time since 1970; give camera and"),
        (12 * SECOND, NOW, "/image counts simulated time and the other one"),
        (NOW, NOW + 3600 * SECOND, "/regions is 3600 s ahead of /image; compare use_sim_time of camera and detector"),
        (NOW, NOW - 3600 * SECOND, "/regions is 3600 s behind /image"),
        (900 * SECOND, 12 * SECOND, "/regions is 888 s behind /image"),
        (-(2**31) * SECOND, 2**31 * SECOND, "/image counts simulated time"),
    ],
)
@pytest.mark.parametrize("slop_ns", [None, 20 * MS])
def test_stamps_of_different_clocks_are_told(image_ns: int, regions_ns: int, reason: str, slop_ns: int | None) -> None:
    told = why(seen("/image", image_ns), seen("/regions", regions_ns), slop_ns=slop_ns)
    assert f"both arrive but not with stamps of one clock: {reason}" in told
    assert "approximate" not in told


def test_after_the_clock_jumped_the_stamps_before_don_t_count() -> None:
    stream = seen("/image", 1, 2)
    stream.start_over()
    assert stream.newer(1, 1) == 0
