# SPDX-License-Identifier: Apache-2.0
"""Regions in space as rviz shows them: a box and a label for each, arrows for relations; what is gone is deleted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.memory.scene_graph import Pair, Relation
from gar_ros.messages.headers import header_message
from gar_ros.messages.marker_texts import MarkerTexts, Written
from gar_ros.messages.relation_texts import relation_texts
from gar_ros.view.colours import region_colour
from gar_ros.view.rviz_text import SPACE_WIDTH

BOXES, LABELS = "boxes", "labels"
ARROWS, PREDICATES = "arrows", "predicates"
_LINE = 0.003  # metres
_HEAD = 0.012  # metres, of an arrow
_MARKER_IDS = 2**31
"""Numbers from 0 that fit into Marker.id."""
_GONE_KEPT = 1000
"""Regions, and pairs of them, out of view that get the same number when they are seen again."""
_EDGES = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7), (6, 7))


@dataclass(frozen=True)
class Placed:
    """A region with its place. caption: what is written at it."""

    id: str
    caption: str
    extent: Extent


Key = TypeVar("Key", bound=Hashable)


class _Numbers(Generic[Key]):
    """Marker numbers: a key keeps its number while it is shown, and for some time after. None is given out again before
    all others were."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[Key, int] = OrderedDict()
        self._next = 0

    def __getitem__(self, key: Key) -> int:
        return self._numbers[key]

    def show(self, keys: Iterable[Key]) -> None:
        """Gives each key a number that has none."""
        for key in keys:
            if key not in self._numbers:
                self._numbers[key], self._next = self._next, (self._next + 1) % _MARKER_IDS
            self._numbers.move_to_end(key)

    def forget(self, shown: int) -> None:
        """Forgets those that were not shown for longest. shown: number of keys that are."""
        while len(self._numbers) > shown + _GONE_KEPT:
            self._numbers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._numbers)


class Markers:
    """Keeps a marker number for each region id, and what is shown."""

    def __init__(self, lifetime: float, z_up: bool) -> None:
        """lifetime: seconds after which rviz drops a marker that isn't renewed. z_up: else y points down (optical)."""
        self._lifetime = Duration(sec=int(lifetime), nanosec=round(lifetime % 1 * 1e9))
        self._texts = MarkerTexts(z_up)
        self._numbers: _Numbers[str] = _Numbers()
        self._shown: dict[str, Header] = {}
        self._arrow_numbers: _Numbers[Pair] = _Numbers()
        self._arrows: dict[Pair, Header] = {}

    def update(self, placed: Iterable[Placed], relations: Iterable[Relation] = ()) -> MarkerArray:
        """Markers of the regions whose place is known and of the relations between them, and deletions of those shown
        before and not any more."""
        known = {one.id: one for one in placed if one.extent.known}
        related = relation_texts(one for one in relations if {one.subject, one.object} <= set(known))
        self._numbers.show(known)
        self._arrow_numbers.show(related)
        # Those known longest first: what comes later makes room.
        labels, predicates = self._texts.write(
            {one: (known[one].caption, known[one].extent) for one in sorted(known, key=self._numbers.__getitem__)},
            {pair: related[pair] for pair in sorted(related, key=self._arrow_numbers.__getitem__)},
        )
        gone = [item for item in self._shown.items() if item[0] not in known]
        markers = [self._deletion(space, *item) for item in gone for space in (BOXES, LABELS)]
        self._shown = {one.id: header_message(one.extent.frame_id, one.extent.stamp_ns) for one in known.values()}
        for one in known.values():
            markers += [self._box(one), self._label(one.id, labels[one.id])]
        markers += self._relate(known, predicates)
        self._numbers.forget(len(known))
        self._arrow_numbers.forget(len(predicates))
        return MarkerArray(markers=markers)

    def _relate(self, known: Mapping[str, Placed], predicates: Mapping[Pair, Written]) -> list[Marker]:
        """One arrow and text for each two related regions, in that order, however many predicates hold."""
        gone = [item for item in self._arrows.items() if item[0] not in predicates]
        markers = [
            Marker(header=header, ns=space, id=self._arrow_numbers[pair], action=Marker.DELETE)
            for pair, header in gone
            for space in (ARROWS, PREDICATES)
        ]
        self._arrows = {pair: self._shown[pair[0]] for pair in predicates}
        for pair, text in predicates.items():
            start, end = (known[name].extent.centroid for name in pair)
            markers += [self._arrow(pair, start, end), self._predicates(pair, text)]
        return markers

    def _arrow(self, pair: Pair, start: Vec3, end: Vec3) -> Marker:
        marker = self._marker(ARROWS, pair[0], self._arrow_numbers[pair], Marker.ARROW)
        marker.points = [Point(x=x, y=y, z=z) for x, y, z in (start, end)]
        marker.scale = Vector3(x=_LINE, y=_HEAD, z=_HEAD)
        return marker

    def _predicates(self, pair: Pair, text: Written) -> Marker:
        marker = _with_text(self._marker(PREDICATES, pair[0], self._arrow_numbers[pair], Marker.TEXT_VIEW_FACING), text)
        marker.color = _pale(marker.color)
        return marker

    def _marker(self, space: str, region_id: str, number: int, kind: int) -> Marker:
        """A marker in the region's frame and colour."""
        header = self._shown[region_id]
        marker = Marker(header=header, ns=space, id=number, type=kind, action=Marker.ADD, lifetime=self._lifetime)
        marker.pose.orientation.w = 1.0
        red, green, blue = (value / 255 for value in region_colour(region_id))
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        return marker

    def _deletion(self, space: str, region_id: str, header: Header) -> Marker:
        return Marker(header=header, ns=space, id=self._numbers[region_id], action=Marker.DELETE)

    def _box(self, one: Placed) -> Marker:
        marker = self._marker(BOXES, one.id, self._numbers[one.id], Marker.LINE_LIST)
        marker.scale = Vector3(x=_LINE)
        corners = list(zip(one.extent.low, one.extent.high, strict=True))
        points = [
            Point(**{axis: corners[place][number >> place & 1] for place, axis in enumerate("xyz")})
            for number in range(8)
        ]
        marker.points = [points[end] for edge in _EDGES for end in edge]
        return marker

    def _label(self, region_id: str, text: Written) -> Marker:
        marker = _with_text(self._marker(LABELS, region_id, self._numbers[region_id], Marker.TEXT_VIEW_FACING), text)
        marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        return marker


def _with_text(marker: Marker, text: Written) -> Marker:
    marker.text = text.lines
    marker.scale = Vector3(x=SPACE_WIDTH * text.height, z=text.height)
    marker.pose.position = Point(**dict(zip("xyz", text.position, strict=True)))
    return marker


def _pale(colour: ColorRGBA) -> ColorRGBA:
    """Half way to white: legible on a thing of the colour itself."""
    return ColorRGBA(r=(1 + colour.r) / 2, g=(1 + colour.g) / 2, b=(1 + colour.b) / 2, a=colour.a)


def captions(regions: Mapping[str, str], answers: Mapping[str, str]) -> dict[str, str]:
    """What is written at each region: its id and label, and the newest answer about it. regions: id -> label."""
    texts = {}
    for region_id, label in regions.items():
        name, answer = (" ".join(text.split()) for text in (f"{region_id} {label}", answers.get(region_id, "")))
        texts[region_id] = f"{name}  {answer}".strip()
    return texts
