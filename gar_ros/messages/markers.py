# SPDX-License-Identifier: Apache-2.0
"""Regions in space as rviz shows them: a box and a label for each, arrows for relations; what is gone is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.memory.scene_graph import Relation
from gar_ros.messages.headers import header_message
from gar_ros.view.colours import region_colour

BOXES, LABELS = "boxes", "labels"
ARROWS, PREDICATES = "arrows", "predicates"
_TEXT_HEIGHT = 0.025  # metres
_LINE = 0.003  # metres
_GAP = 0.02  # metres between box and label
_PREDICATE_HEIGHT = 0.015  # metres
_HEAD = 0.012  # metres, of an arrow
_MIDDLE = 0.4  # share of an arrow's length where its text stands: that of the opposite one stands elsewhere
_EDGES = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7), (6, 7))


@dataclass(frozen=True)
class Placed:
    """A region with its place. caption: what is written at it."""

    id: str
    caption: str
    extent: Extent


class Markers:
    """Keeps a marker number for each region id, and what is shown."""

    def __init__(self, lifetime: float, z_up: bool) -> None:
        """lifetime: seconds after which rviz drops a marker that isn't renewed. z_up: else y points down (optical)."""
        self._z_up = z_up
        self._lifetime = Duration(sec=int(lifetime), nanosec=round(lifetime % 1 * 1e9))
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, Header] = {}
        self._arrow_numbers: dict[tuple[str, str], int] = {}
        self._arrows: dict[tuple[str, str], Header] = {}

    def update(self, placed: Iterable[Placed], relations: Iterable[Relation] = ()) -> MarkerArray:
        """Markers of the regions whose place is known and of the relations between them, and deletions of those shown
        before and not any more."""
        known = {one.id: one for one in placed if one.extent.known}
        gone = [item for item in self._shown.items() if item[0] not in known]
        self._shown = {one.id: header_message(one.extent.frame_id, one.extent.stamp_ns) for one in known.values()}
        markers = [self._deletion(space, *item) for item in gone for space in (BOXES, LABELS)]
        for one in known.values():
            markers += [self._box(one), self._label(one)]
        return MarkerArray(markers=markers + self._relate(known, relations))

    def _relate(self, known: Mapping[str, Placed], relations: Iterable[Relation]) -> list[Marker]:
        """One arrow and text for each two related regions, in that order, however many predicates hold."""
        texts: dict[tuple[str, str], list[str]] = {}
        for one in relations:
            if {one.subject, one.object} <= set(known):
                texts.setdefault((one.subject, one.object), []).append(f"{one.predicate} {one.probability:.2f}")
        gone = [item for item in self._arrows.items() if item[0] not in texts]
        markers = [
            Marker(header=header, ns=space, id=self._arrow_numbers[pair], action=Marker.DELETE)
            for pair, header in gone
            for space in (ARROWS, PREDICATES)
        ]
        self._arrows = {pair: self._shown[pair[0]] for pair in texts}
        for pair, lines in texts.items():
            number = self._arrow_numbers.setdefault(pair, len(self._arrow_numbers))
            start, end = (known[name].extent.centroid for name in pair)
            markers += [self._arrow(pair[0], number, start, end), self._predicates(pair[0], number, start, end, lines)]
        return markers

    def _arrow(self, subject: str, number: int, start: Vec3, end: Vec3) -> Marker:
        marker = self._marker(ARROWS, subject, self._shown[subject], Marker.ARROW)
        marker.id = number
        marker.points = [Point(x=x, y=y, z=z) for x, y, z in (start, end)]
        marker.scale = Vector3(x=_LINE, y=_HEAD, z=_HEAD)
        return marker

    def _predicates(self, subject: str, number: int, start: Vec3, end: Vec3, lines: list[str]) -> Marker:
        marker = self._marker(PREDICATES, subject, self._shown[subject], Marker.TEXT_VIEW_FACING)
        marker.id = number
        marker.scale = Vector3(z=_PREDICATE_HEIGHT)
        x, y, z = (one + _MIDDLE * (other - one) for one, other in zip(start, end, strict=True))
        marker.pose.position = Point(x=x, y=y, z=z)
        marker.text = "\n".join(lines)
        return marker

    def _marker(self, space: str, region_id: str, header: Header, kind: int) -> Marker:
        number = self._numbers.setdefault(region_id, len(self._numbers))
        marker = Marker(header=header, ns=space, id=number, type=kind, action=Marker.ADD, lifetime=self._lifetime)
        marker.pose.orientation.w = 1.0
        red, green, blue = (value / 255 for value in region_colour(region_id))
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        return marker

    def _deletion(self, space: str, region_id: str, header: Header) -> Marker:
        return Marker(header=header, ns=space, id=self._numbers[region_id], action=Marker.DELETE)

    def _box(self, one: Placed) -> Marker:
        marker = self._marker(BOXES, one.id, self._shown[one.id], Marker.LINE_LIST)
        marker.scale = Vector3(x=_LINE)
        corners = list(zip(one.extent.low, one.extent.high, strict=True))
        points = [
            Point(**{axis: corners[place][number >> place & 1] for place, axis in enumerate("xyz")})
            for number in range(8)
        ]
        marker.points = [points[end] for edge in _EDGES for end in edge]
        return marker

    def _label(self, one: Placed) -> Marker:
        marker = self._marker(LABELS, one.id, self._shown[one.id], Marker.TEXT_VIEW_FACING)
        marker.scale = Vector3(z=_TEXT_HEIGHT)
        x, y, z = one.extent.centre
        if self._z_up:
            z = one.extent.high[2] + _GAP
        else:
            y = one.extent.low[1] - _GAP
        marker.pose.position = Point(x=x, y=y, z=z)
        marker.text = one.caption
        marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        return marker


def captions(regions: Mapping[str, str], answers: Mapping[str, str]) -> dict[str, str]:
    """What is written at each region: its id and label, and the newest answer about it. regions: id -> label."""
    texts = {}
    for region_id, label in regions.items():
        name = f"{region_id} {label}".strip()
        texts[region_id] = f"{name}\n{answers[region_id]}" if region_id in answers else name
    return texts
