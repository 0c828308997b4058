# SPDX-License-Identifier: Apache-2.0
"""Track ids for detectors that track by themselves."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gar_ros.frame import Sighting
from gar_ros.memory.used_ids import UsedIds

_OURS = re.compile(r"(.*#|detection:)[0-9]+", re.DOTALL)
"""What looks like an id that is made here. A detector's own id of this form always gets a number behind it."""


@dataclass(frozen=True)
class _Known:
    """A detector's id. use: which of its objects it stands for, counted from 1. label, last_ns: of the last sighting,
    None once the clock jumped back."""

    use: int
    label: str
    last_ns: int | None


class DetectorIds:
    """Track ids for detectors that track: the ids are the detector's. See gar_ros.memory.tracks.Tracker.

    A detector that was restarted counts from the beginning again. So an id that comes back after `lost_ns`, or with
    another label, is another object, called "3#2", "3#3", .. What has no id is another object in every image, called
    "detection:1", "detection:2", ..

    Only the ids seen last are known exactly. Of one that was forgotten it is at least known that it may have been used,
    and how high the numbers of all forgotten ones are; so no id is used again.
    """

    needs_boxes = False

    def __init__(self, lost_ns: int, capacity: int = 1000) -> None:
        """lost_ns: nanoseconds without a sighting, by stamps, after which an id stands for another object. capacity:
        number of ids known exactly, or those of the newest image where these are more."""
        self._lost_ns, self._capacity = lost_ns, capacity
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._forgotten, self._highest_forgotten = UsedIds(), 1
        self._unnamed = 0

    def track_ids(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[str]:
        """See Tracker."""
        ids = [self._track_id(stamp_ns, sighting) for sighting in sightings]
        while len(self._known) > max(self._capacity, len(sightings)):
            detector_id, known = self._known.popitem(last=False)
            self._forgotten.add(detector_id)
            self._highest_forgotten = max(self._highest_forgotten, known.use)
        return ids

    def clear(self) -> None:
        """See Tracker: the next sighting of every id is another object."""
        for detector_id, known in self._known.items():
            self._known[detector_id] = replace(known, last_ns=None)

    @property
    def known(self) -> int:
        """See Tracker."""
        return len(self._known)

    def _track_id(self, stamp_ns: int, sighting: Sighting) -> str:
        detector_id = sighting.detector_id
        if not detector_id:
            self._unnamed += 1
            return f"detection:{self._unnamed}"
        known = self._known.get(detector_id)
        if known is None:
            use = self._highest_forgotten + 1 if detector_id in self._forgotten else 1
            known = _Known(use, sighting.label, stamp_ns)
        elif self._is_another(known, stamp_ns, sighting.label):
            known = _Known(known.use + 1, sighting.label, stamp_ns)
        else:
            last_ns = max(stamp_ns, known.last_ns or stamp_ns)
            known = _Known(known.use, known.label or sighting.label, last_ns)
        self._known[detector_id] = known
        self._known.move_to_end(detector_id)
        is_plain = known.use == 1 and not _OURS.fullmatch(detector_id)
        return detector_id if is_plain else f"{detector_id}#{known.use}"

    def _is_another(self, known: _Known, stamp_ns: int, label: str) -> bool:
        if known.last_ns is None or stamp_ns - known.last_ns > self._lost_ns:
            return True
        return bool(known.label and label and label != known.label)
