# SPDX-License-Identifier: Apache-2.0
"""The event that the demo's planner watches for, and whether it was told of it in time and not before."""

from __future__ import annotations

from gar_ros.demo.table import RIGHT, WRONG, Row
from gar_ros.region import with_ids
from gar_ros.sim.contact import NO, YES, rests_in
from gar_ros.sim.motion import STEP
from gar_ros.sim.timeline import Timeline

IN_TIME = 1.0
"""Seconds, by stamps, within which the planner is to be told."""
_STEP_NS = round(STEP * 1e9)
_LONGEST_NS = 60 * 10**9
"""Beyond what any event of the timeline takes."""


def lateness(timeline: Timeline, stamp_ns: int, comes_in: bool) -> float | None:
    """Seconds from when the carried object came into its bowl, or was out of it, to the image of this stamp.

    comes_in: whether it was waited for that it comes in. Negative while it is on its way; None where the image shows
    the contrary, or nothing is carried.
    """
    wanted, contrary = (YES, NO) if comes_in else (NO, YES)
    before = stamp_ns // _STEP_NS * _STEP_NS
    if timeline.carrying is None or _inside(timeline, before) == contrary:
        return None
    while _inside(timeline, before) != contrary:
        before -= _STEP_NS
        if stamp_ns - before > _LONGEST_NS:
            return None
    came = before + _STEP_NS
    while _inside(timeline, came) != wanted:
        came += _STEP_NS
    return (stamp_ns - came) / 1e9


def event_row(text: str, ids: list[str], expected: str, probability: float, late: float | None) -> Row:
    """What was waited for, and when it was told. late: as `lateness` gives it."""
    verdict = RIGHT if late is not None and late <= IN_TIME else WRONG
    told = "before it was so" if late is None else f"{max(late, 0.0):.2f} s late"
    return Row(verdict, f"Told: {with_ids(text, ids)} {expected}", told, "in 1 s", probability)


def _inside(timeline: Timeline, stamp_ns: int) -> int:
    """Whether the carried object is in its bowl: YES, NO or UNCLEAR."""
    carrying, objects = timeline.carrying, timeline.at(stamp_ns).objects
    return NO if carrying is None else rests_in(objects[carrying.item], objects[carrying.bowl])
