# SPDX-License-Identifier: Apache-2.0
"""From the messages of a camera and its detectors to frames with regions; robots, bags and tests take this path."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gar_ros.errors import LEAVING, ErrorCode, GarError, reason_of
from gar_ros.frame import Frame
from gar_ros.messages.images import Size, frame_of
from gar_ros.messages.lazy_regions import LazyRegions
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.messages.stamp_pairing import StampPairing
from gar_ros.messages.stream_pairing import Input, StreamPairing
from gar_ros.settings.inputs import InputSettings, SyncSettings

__all__ = ["Arrival", "FramePairing", "FrameRegions", "Input", "StampPairing", "checked_stamp_ns"]

_DETECTOR_NS = 2_000_000_000
"""Label images are left alone for this long after an image whose regions a detector's message described."""


@dataclass
class Arrival:
    """What one message led to.

    stamp_ns: its stamp; None when it was refused. jump_ns: by how much the stamps of its input jumped, ahead
    or back, nanoseconds; 0 where they go on. restarted: the images' did, so what came before is void. frame: the
    image, still without regions, where the message was one. pairs: frames whose regions are now there. paired: an
    image and its regions met, also where others count instead. verdicts: of each input of which a message was looked
    at, why it can't be used; empty where it can. odd: of each input of which a message was used, what is odd about
    some of its detections, a sentence for each reason; empty where nothing is.
    """

    stamp_ns: int | None = None
    jump_ns: int = 0
    restarted: bool = False
    frame: Frame | None = None
    pairs: list[Frame] = field(default_factory=list)
    paired: bool = False
    verdicts: dict[Input, str] = field(default_factory=dict)
    odd: dict[Input, tuple[str, ...]] = field(default_factory=dict)
    defects: dict[Input, BaseException] = field(default_factory=dict)
    """What was raised instead of a GarError, where a verdict is no refusal but a defect."""

    def refuse(self, kind: Input, error: BaseException) -> None:
        """Records why the message of this input can't be used."""
        self.verdicts[kind] = reason_of(error)
        if not isinstance(error, GarError):
            self.defects[kind] = error


class FrameRegions:
    """Makes frames with regions of images and what was found in them (not thread-safe)."""

    def __init__(self, inputs: InputSettings, by_ids: bool = True) -> None:
        """by_ids: whether regions are followed by their ids, so that missing ones are told."""
        self._builder, self._by_ids = RegionBuilder(inputs), by_ids
        self._builds: dict[Input, Callable[[Any, Size], LazyRegions[Any] | None]] = {
            Input.REGIONS: self._builder.of_detections,
            Input.INSTANCES: self._builder.of_labels,
        }
        self._detected_ns: int | None = None  # of the newest image that a detector's message describes

    def clear(self) -> None:
        """Stamps have started anew."""
        self._builder.clear()
        self._detected_ns = None

    def add(self, kind: Input, frame: Frame, message: Any, arrival: Arrival) -> None:
        """Notes in `arrival` what the image and a message of `kind` that belongs to it make."""
        try:
            regions = self._builds[kind](message, frame.size)
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 no message, whatever it does to a library, may cost another one
            arrival.refuse(kind, error)
            return
        arrival.verdicts[kind] = ""
        if regions is None:
            return
        arrival.paired = True
        without_ids = (regions.nameless,) if self._by_ids and regions.nameless else ()
        arrival.odd[kind] = without_ids + regions.odd
        if not self._is_outdone(kind, frame.stamp_ns):
            arrival.pairs.append(replace(frame, regions=regions))

    def _is_outdone(self, kind: Input, stamp: int) -> bool:
        """Whether this is a label image alone, where a detector's messages come too: they say more."""
        if kind is Input.REGIONS or self._builder.joins:
            self._detected_ns = stamp
            return False
        return self._detected_ns is not None and stamp - self._detected_ns < _DETECTOR_NS


class FramePairing:
    """Takes the messages of all inputs one by one, in the order of their arrival (not thread-safe).

    Every image becomes a frame once; with its regions it is a copy that shares its pixels.
    """

    def __init__(
        self,
        inputs: InputSettings,
        sync: SyncSettings,
        awaited: Callable[[Input], bool] = lambda kind: True,
        by_ids: bool = True,
    ) -> None:
        """awaited: whether messages of an input may come; images don't wait for those that won't. by_ids: as for
        FrameRegions."""
        self.slop_ns = None if sync.policy == "exact" else round(sync.slop * 1e9)
        self._streams = StreamPairing(sync.queue_size, self.slop_ns, awaited)
        self._regions = FrameRegions(inputs, by_ids)

    def add(self, kind: Input, message: Any, arrived_ns: int | None = None) -> Arrival:
        """What this message leads to; one that can't be used leads to a verdict. arrived_ns: when it came, monotonic
        nanoseconds; None: now."""
        arrival = Arrival()
        try:
            stamp = checked_stamp_ns(message.header.stamp.sec, message.header.stamp.nanosec)
            frame = frame_of(message) if kind is Input.IMAGE else None
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 as above
            arrival.refuse(kind, error)
            return arrival
        step = self._streams.add(
            kind, stamp, message if frame is None else frame, time.monotonic_ns() if arrived_ns is None else arrived_ns
        )
        arrival.jump_ns, arrival.restarted = step.jump_ns, step.restarted
        if step.restarted:
            self._regions.clear()
        if step.odd or frame is not None:
            arrival.verdicts[kind] = step.odd
        if not step.odd:
            arrival.stamp_ns, arrival.frame = stamp, frame
        for other, image, found in step.pairs:
            self._regions.add(other, image, found, arrival)
        return arrival


def checked_stamp_ns(sec: int, nanosec: int) -> int:
    """A header's stamp in nanoseconds. Raises GarError INVALID_REQUEST for one that is no time of an image."""
    if sec == nanosec == 0:
        raise GarError(ErrorCode.INVALID_REQUEST, "header.stamp is zero; the publisher must set the image's stamp")
    if sec < 0 or nanosec >= 1_000_000_000:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"header.stamp is no time (expected sec from 0 and nanosec below 1000000000, got {sec} and {nanosec}); the "
            "publisher must set the image's stamp",
        )
    return sec * 1_000_000_000 + nanosec
