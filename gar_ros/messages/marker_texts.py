# SPDX-License-Identifier: Apache-2.0
"""What is written at regions and arrows in space, and where."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.memory.scene_graph import Pair
from gar_ros.view.rviz_places import GAP, OPTICAL, Z_UP, Step, Text, arrange
from gar_ros.view.rviz_text import text_size, wrapped

_LABEL_HEIGHT = 0.011  # metres
_PREDICATE_HEIGHT = 0.008  # metres
_MIDDLE = 0.4  # share of an arrow's length where its text stands: that of the opposite one stands elsewhere


@dataclass(frozen=True)
class Written:
    """lines: what is drawn. height: of a line, metres. position: of the text's centre."""

    lines: str
    height: float
    position: Vec3


class MarkerTexts:
    """Remembers where texts stand, so that they stay there as long as they can."""

    def __init__(self, z_up: bool) -> None:
        """z_up: else y points down (optical)."""
        self._z_up = z_up
        self._space = Z_UP if z_up else OPTICAL
        self._steps: dict[Hashable, Step] = {}

    def write(
        self, captions: Mapping[str, tuple[str, Extent]], predicates: Mapping[Pair, Sequence[str]]
    ) -> tuple[dict[str, Written], dict[Pair, Written]]:
        """Labels and texts of arrows, none over another one. captions: text and place of each region by its id.
        predicates: lines at the arrow of each (subject, object). Those that come first have their position first."""
        extents = {region_id: extent for region_id, (_, extent) in captions.items()}
        labels = {region_id: wrapped(caption) for region_id, (caption, _) in captions.items()}
        arrows = {pair: "\n".join(map(wrapped, lines)) for pair, lines in predicates.items()}
        texts = [self._label(region_id, lines, extents[region_id]) for region_id, lines in labels.items()]
        texts += [self._predicates(pair, lines, extents) for pair, lines in arrows.items()]
        positions, self._steps = arrange(texts, self._space, self._steps)
        return (
            {one: Written(lines, _LABEL_HEIGHT, _vec3(positions[one])) for one, lines in labels.items()},
            {one: Written(lines, _PREDICATE_HEIGHT, _vec3(positions[one])) for one, lines in arrows.items()},
        )

    def _label(self, region_id: str, lines: str, extent: Extent) -> Text:
        """Above the region's box: at its nearest face where y points down."""
        width, height = text_size(lines, _LABEL_HEIGHT)
        x, y, z = extent.centre
        if self._z_up:
            z = extent.high[2] + GAP + height / 2
        else:
            y, z = extent.low[1] - GAP - height / 2, extent.low[2]
        return Text(region_id, width, height, np.array([x, y, z]), np.array([extent.low, extent.high]))

    def _predicates(self, pair: Pair, lines: str, extents: Mapping[str, Extent]) -> Text:
        """At the arrow; where y points down, before it on the camera's ray: the objects would hide it."""
        start, end = (np.array(extents[name].centroid) for name in pair)
        position = start + _MIDDLE * (end - start)
        if not self._z_up:
            position *= min(extents[name].low[2] for name in pair) / position[2]
        return Text(pair, *text_size(lines, _PREDICATE_HEIGHT), position)


def _vec3(position: NDArray[np.float64]) -> Vec3:
    x, y, z = (float(value) for value in position)
    return x, y, z
