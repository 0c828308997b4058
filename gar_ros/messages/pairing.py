# SPDX-License-Identifier: Apache-2.0
"""From the messages of a camera and its detectors to frames with regions; robots, bags and tests take this path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from gar_ros.errors import LEAVING, ErrorCode, GarError, reason_of
from gar_ros.frame import Frame, RegionSource
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import Size, frame_of
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.settings.groups import InputSettings, SyncSettings

CLOCK_JUMP_NS = 1_000_000_000
"""A stamp that much before the newest one means that time has restarted (a bag loops, a simulator was reset)."""
_DETECTOR_NS = 2_000_000_000
"""Label images are left alone for this long after an image whose regions a detector's message described."""


class Input(Enum):
    """What a message is: a camera image, what a detector found in one, or its label image."""

    IMAGE = "image"
    REGIONS = "regions"
    INSTANCES = "instances"


class StampPairing:
    """Two queues of items; an item leaves with the nearest one of the other queue.

    slop_ns: stamps must differ by less, nanoseconds; None: they must be equal. queue_size: items that wait in each
    queue; the oldest stamp goes first. Same rules as message_filters' TimeSynchronizer and
    ApproximateTimeSynchronizer of two topics, which a test compares with; written out here because bags and
    machines without ROS's own packages pair too.
    """

    def __init__(self, queue_size: int, slop_ns: int | None) -> None:
        self._queue_size, self._slop_ns = queue_size, slop_ns
        self._queues: tuple[dict[int, Any], dict[int, Any]] = ({}, {})

    def add(self, stream: int, stamp_ns: int, item: Any) -> tuple[Any, Any] | None:
        """The pair (of stream 0, of stream 1) that this item completes. stream: 0 or 1."""
        mine, others = self._queues[stream], self._queues[1 - stream]
        mine[stamp_ns] = item
        while len(mine) > self._queue_size:
            del mine[min(mine)]
        partner = self._partner(stamp_ns, others)
        if partner is None or stamp_ns not in mine:
            return None
        pair = (mine.pop(stamp_ns), others.pop(partner))
        return pair if stream == 0 else (pair[1], pair[0])

    def _partner(self, stamp_ns: int, others: dict[int, Any]) -> int | None:
        if self._slop_ns is None:
            return stamp_ns if stamp_ns in others else None
        nearest = min(others, key=lambda other: abs(other - stamp_ns), default=None)
        return nearest if nearest is not None and abs(nearest - stamp_ns) < self._slop_ns else None


@dataclass
class Arrival:
    """What one message led to.

    stamp_ns: its stamp; None when it was refused at once. restarted: stamps went back, what came before is void.
    frame: the image, still without regions, where the message was one. pairs: frames whose regions are now there.
    paired: an image and its regions met, also where others count instead. verdicts: of each input of which a message
    was looked at, why it can't be used; empty where it can.
    """

    stamp_ns: int | None = None
    restarted: bool = False
    frame: Frame | None = None
    pairs: list[Frame] = field(default_factory=list)
    paired: bool = False
    verdicts: dict[Input, str] = field(default_factory=dict)
    defects: dict[Input, BaseException] = field(default_factory=dict)
    """What was raised instead of a GarError, where a verdict is no refusal but a defect."""

    def refuse(self, kind: Input, error: BaseException) -> None:
        """Records why the message of this input can't be used."""
        self.verdicts[kind] = reason_of(error)
        if not isinstance(error, GarError):
            self.defects[kind] = error


class FramePairing:
    """Takes the messages of all inputs one by one, in the order of their arrival (not thread-safe).

    Every image becomes a frame once; with its regions it is a copy that shares its pixels.
    """

    def __init__(
        self, inputs: InputSettings, sync: SyncSettings, awaited: Callable[[Input], bool] = lambda kind: True
    ) -> None:
        """awaited: whether messages of an input may come; images don't wait for those that won't."""
        self._sync, self._awaited = sync, awaited
        self.slop_ns = None if sync.policy == "exact" else round(sync.slop * 1e9)
        self._builder = RegionBuilder(inputs.regions_type, inputs.regions_masks)
        self._builds: dict[Input, Callable[[Any, Size], RegionSource | None]] = {
            Input.REGIONS: self._builder.of_detections,
            Input.INSTANCES: self._builder.of_labels,
        }
        self._pairings: dict[Input, StampPairing] = {}
        self._last_ns: int | None = None  # of the last image
        self._detected_ns: int | None = None  # of the newest image that a detector's message describes
        self._start_over()

    def add(self, kind: Input, message: Any) -> Arrival:
        """What this message leads to; one that can't be used leads to a verdict."""
        arrival = Arrival()
        try:
            stamp = _checked_stamp(message)
            if kind is Input.IMAGE:
                arrival.frame = frame_of(message)
                arrival.verdicts[kind] = ""
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 no message, whatever it does to a library, may cost another one
            arrival.refuse(kind, error)
            return arrival
        arrival.stamp_ns = stamp
        if arrival.frame is None:
            self._pair(kind, self._pairings[kind].add(1, stamp, message), arrival)
            return arrival
        arrival.restarted = self._last_ns is not None and stamp < self._last_ns - CLOCK_JUMP_NS
        if arrival.restarted:
            self._start_over()
        self._last_ns = stamp
        for other, pairing in self._pairings.items():
            if self._awaited(other):
                self._pair(other, pairing.add(0, stamp, arrival.frame), arrival)
        return arrival

    def _start_over(self) -> None:
        self._builder.clear()
        self._pairings = {kind: StampPairing(self._sync.queue_size, self.slop_ns) for kind in self._builds}
        self._last_ns = self._detected_ns = None

    def _pair(self, kind: Input, pair: tuple[Frame, Any] | None, arrival: Arrival) -> None:
        """Adds what a pair of frame and message of `kind` makes."""
        if pair is None:
            return
        frame, message = pair
        try:
            regions = self._builds[kind](message, frame.size)
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 as above
            arrival.refuse(kind, error)
            return
        arrival.verdicts[kind] = ""
        if regions is None:
            return
        arrival.paired = True
        if not self._is_outdone(kind, frame.stamp_ns):
            arrival.pairs.append(replace(frame, regions=regions))

    def _is_outdone(self, kind: Input, stamp: int) -> bool:
        """Whether this is a label image alone, where a detector's messages come too: they say more."""
        if kind is Input.REGIONS or self._builder.joins:
            self._detected_ns = max(stamp, self._detected_ns or stamp)
            return False
        return self._detected_ns is not None and stamp - self._detected_ns < _DETECTOR_NS


def _checked_stamp(message: Any) -> int:
    """Nanoseconds. Raises GarError INVALID_REQUEST for a message that was never stamped."""
    stamp = stamp_ns(message.header.stamp)
    if stamp == 0:
        raise GarError(ErrorCode.INVALID_REQUEST, "header.stamp is zero; the publisher must set the image's stamp")
    return stamp
