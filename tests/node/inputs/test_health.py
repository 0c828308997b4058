# SPDX-License-Identifier: Apache-2.0
"""What is said when images and detections don't pair up."""

from __future__ import annotations

import pytest

from gar_ros.node.inputs.health import Stream, why_unpaired

MS = 1_000_000


def seen(topic: str, *stamps_ns: int) -> Stream:
    """A topic that is alive."""
    stream = Stream(topic, publishers=1)
    for stamp in stamps_ns:
        stream.saw(stamp, now=99.5)
    return stream


SECOND = 1_000_000_000


def why(image: Stream, *detections: Stream, slop_ns: int | None = None) -> str:
    return why_unpaired(image, list(detections), slop_ns, now=100.0, quiet=5.0)


def test_says_that_nobody_publishes() -> None:
    assert why(Stream("/image"), seen("/regions", 1)) == "nobody publishes /image"
    assert why(seen("/image", 1), Stream("/regions"), Stream("/instances")) == (
        "nobody publishes /regions; nobody publishes /instances"
    )


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
