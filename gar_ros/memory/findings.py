# SPDX-License-Identifier: Apache-2.0
"""What a search by words has found."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.geometry.extent import Extent


@dataclass(frozen=True)
class FoundRegion:
    """A region that fits the words.

    stamp_ns, frame_id: of the image that it was asked about on, nanoseconds and optical frame. probability: that the
    words describe it, 0..1. other_id: the other object of its most probable pair, empty where the words name one
    object. out_of_view: whether the image is an older one, because the newest one doesn't show the region. extent:
    where it was in space.
    """

    stamp_ns: int
    frame_id: str
    region_id: str
    probability: float
    other_id: str
    out_of_view: bool
    extent: Extent


@dataclass(frozen=True)
class Findings:
    """The regions that fit some words, the most probable first.

    stamp_ns, frame_id: of the image that was looked at first. pairs: whether pairs of regions were asked about, because
    the words name two objects. asked: number of candidates, or of pairs, that were scored. skipped: number of those
    that were not, for lack of time. latency_ns: time from the request's arrival to this, nanoseconds.
    """

    stamp_ns: int
    frame_id: str
    regions: tuple[FoundRegion, ...]
    pairs: bool
    asked: int
    skipped: int
    latency_ns: int
