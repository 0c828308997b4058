# SPDX-License-Identifier: Apache-2.0
"""Whatever a detector's message holds, each of its regions is exactly its own pixels, or a reason why it isn't.

The pixels are compared with those of slow references that look at one pixel after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages.detections import DetectedRegions, found_by_vision, found_by_yolo
from gar_ros.messages.images import image_message
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.messages.lazy_regions import LazyRegions
from gar_ros.messages.regions import MessageRegions
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import RegionArray
from gar_ros.region import Region
from tests.messages.detection_messages import Numbers, array, vision_detection, yolo_detection
from tests.messages.image_messages import message as rows_message

WIDTH, HEIGHT = 9, 7
SIZE = (WIDTH, HEIGHT)
Point = tuple[float, float]

ODD = [math.nan, math.inf, -math.inf, 1e300, -1e300, 2.0**31, -(2.0**31), 2.0**63, 1e9, -1e9, 1e-300, 0.0, -0.0]
near = st.integers(-24, 40).map(lambda number: number / 2)
number = near | st.floats(-30, 30, width=32) | st.sampled_from(ODD)
ids = st.sampled_from(["", "a", "b", "cup", "cup#2", "detection:0", "\n", "é", "x" * 300, "7"])
angle = st.sampled_from([0.0, 0.0, math.pi / 2, -math.pi, 0.3, math.pi / 4, math.nan, 1e9]) | st.floats(-7, 7, width=32)
score = st.floats(width=32)


def check(regions: LazyRegions[Any], pixels: Callable[[int, int, int], bool | None], count: int) -> None:
    """Each of `count` detections gives its pixels or a GarError. pixels: whether a pixel (row, column) belongs to the
    detection of this number, None where rounding decides."""
    assert len(set(regions.ids())) == len(regions.ids())
    told = bool(regions.odd)
    keys = regions._names.keys
    assert len(set(keys)) == count
    for index, key in enumerate(keys):
        inside = [[pixels(index, row, column) for column in range(WIDTH)] for row in range(HEIGHT)]
        try:
            region = regions.region(key)
        except GarError:
            assert told
            assert not any(True in row for row in inside), "it has a pixel"
            continue
        assert region.id == key
        assert math.isnan(region.score) or 0 <= region.score <= 1
        assert region.mask.any()
        for row, column in np.ndindex(HEIGHT, WIDTH):
            assert inside[row][column] in (None, bool(region.mask[row, column])), (row, column)
    check_sightings(regions)


def check_sightings(regions: LazyRegions[Any]) -> None:
    """Sightings with boxes are those that can be asked about; each box spans a part of the image."""
    askable = []
    for key in regions._names.keys:
        try:
            askable.append(regions.region(key))
        except GarError:
            assert key not in [one.key for one in regions.sightings(boxes=True)]
    sightings = regions.sightings(boxes=True)
    assert [one.key for one in sightings] == [region.id for region in askable]
    for one in sightings:
        assert one.box is not None
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= WIDTH
        assert 0 <= y0 < y1 <= HEIGHT
    assert tuple(one.key for one in regions.sightings(boxes=False)) == regions.ids()


def in_box(box: Numbers, theta: float, row: int, column: int) -> bool | None:
    """theta: from the x axis towards the y axis."""
    x, y, width, height = box
    if not np.all(np.abs([*box, theta]) <= 1e9) or width <= 0 or height <= 0:
        return False
    quarters = theta / (math.pi / 2)
    if abs(quarters - round(quarters)) < 1e-6:
        if round(quarters) % 2:
            width, height = height, width
        across = round(x - width / 2) <= column < round(x + width / 2)
        return across and round(y - height / 2) <= row < round(y + height / 2)
    offset = complex(column + 0.5 - x, row + 0.5 - y) * complex(math.cos(theta), -math.sin(theta))
    margins = (width / 2 - abs(offset.real), height / 2 - abs(offset.imag))
    return None if min(map(abs, margins)) < 1e-6 * (1 + width + height) else min(margins) > 0


def in_polygon(corners: list[Point], row: int, column: int) -> bool | None:
    """By the even-odd rule; None within a pixel of the outline."""
    if not corners or not np.all(np.abs(corners) <= 1e9):
        return False
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        along = complex(x1 - x0, y1 - y0) if math.dist((x0, y0), (x1, y1)) > 1e-9 else 0j
        to = complex(column - x0, row - y0)
        share = min(max((to * along.conjugate()).real / abs(along) ** 2, 0), 1) if along else 0
        if abs(to - share * along) < 1.5:
            return None
        if (y0 > row) != (y1 > row) and column < x0 + (row - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


boxes = st.tuples(number, number, number, number)


@given(st.lists(st.tuples(ids, boxes, angle, score), max_size=5))
def test_boxes_of_vision_msgs(given_: list[tuple[str, Numbers, float, float]]) -> None:
    message = array(*[vision_detection(one, box, theta, thing=chance) for one, box, theta, chance in given_])
    regions = DetectedRegions(found_by_vision(message), SIZE, 0)
    check(regions, lambda index, *at: in_box(given_[index][1], -given_[index][2], *at), len(given_))


polygons = st.lists(st.tuples(number, number), max_size=6)


@given(st.lists(st.tuples(ids, boxes, angle, polygons, score), max_size=4))
def test_boxes_and_polygons_of_yolo_msgs(given_: list[tuple[str, Numbers, float, list[Point], float]]) -> None:
    def pixels(index: int, row: int, column: int) -> bool | None:
        _, box, theta, polygon, _ = given_[index]
        return in_polygon(polygon, row, column) if polygon else in_box(box, theta, row, column)

    found = [yolo_detection(one, box, theta, points, SIZE, chance) for one, box, theta, points, chance in given_]
    check(DetectedRegions(found_by_yolo(array(*found)), SIZE, 0), pixels, len(given_))


@given(st.lists(st.tuples(near, near), min_size=3, max_size=6), st.sampled_from([10.0, 1e4, 1e7]), st.data())
def test_polygons_that_reach_far_out(polygon: list[Point], far: float, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.booleans(), min_size=len(polygon), max_size=len(polygon)))
    stretched = [(x * far, y * far) if one else (x, y) for one, (x, y) in zip(chosen, polygon, strict=True)]
    found = found_by_yolo(array(yolo_detection("a", (0, 0, 0, 0), polygon=stretched)))
    check(DetectedRegions(found, SIZE, 0), lambda index, *at: in_polygon(stretched, *at), 1)


unsigned = st.integers(0, 12) | st.sampled_from([2**32 - 1, 2**31])
bits = st.lists(st.booleans(), min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT)


@given(st.lists(st.tuples(ids, st.tuples(unsigned, unsigned, unsigned, unsigned), bits, st.integers(0, 3)), max_size=4))
def test_regions_of_gar_ros(given_: list[tuple[str, tuple[int, int, int, int], list[bool], int]]) -> None:
    """Masks: none, as large as the image, as large as the box, of another size."""
    messages, expected = [], []
    for one, (x, y, width, height), pattern, kind in given_:
        message = RegionMessage(id=one, box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height))
        pixels = np.array(pattern, np.uint8).reshape(HEIGHT, WIDTH)
        wanted = np.zeros((HEIGHT, WIDTH), bool)
        if kind == 1:
            message.mask, wanted = image_message(pixels, "mono8", Header()), pixels > 0
        elif kind == 2 and 0 < width <= WIDTH and 0 < height <= HEIGHT and (width, height) != SIZE:
            message.mask = image_message(np.ascontiguousarray(pixels[:height, :width]), "8UC1", Header())
            for row, column in np.ndindex(height, width):
                if y + row < HEIGHT and x + column < WIDTH:
                    wanted[y + row, x + column] = pixels[row, column]
        elif kind == 3:
            message.mask = image_message(np.ones((HEIGHT + 13, 1), np.uint8), "mono8", Header())
        else:
            wanted[y : y + height, x : x + width] = True
        messages.append(message)
        expected.append(wanted)
    regions = MessageRegions(RegionArray(width=WIDTH, height=HEIGHT, regions=messages))
    check(regions, lambda index, row, column: bool(expected[index][row, column]), len(given_))


LABELS: dict[str, tuple[str, int, int]] = {
    "mono8": ("u1", 0, 255),
    "8UC1": ("u1", 0, 255),
    "mono16": ("u2", 0, 2**16 - 1),
    "16UC1": ("u2", 0, 2**16 - 1),
    "32SC1": ("i4", -(2**31), 2**31 - 1),
    "32UC1": ("u4", 0, 2**32 - 1),
}


@given(st.sampled_from(sorted(LABELS)), st.booleans(), st.sampled_from([0, 4]), st.data())
def test_label_images_of_all_types(encoding: str, bigendian: bool, padding: int, data: st.DataObject) -> None:
    """Mostly background, so that many labels are one pixel wide or high."""
    kind, low, high = LABELS[encoding]
    label = st.sampled_from([0, 0, 0, 1, 2, low, high, high - 1])
    values = data.draw(st.lists(label, min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT))
    labels = np.array(values, np.dtype(kind)).reshape(HEIGHT, WIDTH)
    regions = LabelRegions(rows_message(encoding, labels, padding, bigendian))
    present = sorted({value for value in values if value > 0})
    assert regions.ids() == tuple(map(str, present))
    check(regions, lambda index, row, column: bool(labels[row, column] == present[index]), len(present))
    for one in regions.sightings(boxes=True):
        assert one.box == regions.region(one.key).box, "tight, for every label"


def test_thousands_of_labels_are_as_many_regions() -> None:
    labels = np.arange(60 * 80, dtype=np.int32).reshape(60, 80) * 400_000
    regions = LabelRegions(image_message(labels, "32SC1", Header()))
    assert len(regions.ids()) == len(regions.sightings(boxes=True)) == 4799
    assert regions.region("1919600000").box == (79, 59, 80, 60)


@pytest.mark.parametrize("column", range(4))
def test_a_label_one_pixel_wide_has_its_box_in_any_column(column: int) -> None:
    labels = np.zeros((4, 4), np.uint16)
    labels[1:3, column] = 300
    (sighting,) = LabelRegions(image_message(labels, "16UC1", Header())).sightings(boxes=True)
    assert (sighting.detector_id, sighting.box) == ("300", (column, 1, column + 1, 3))


def test_masks_are_built_once_as_long_as_somebody_holds_them() -> None:
    regions = DetectedRegions(found_by_vision(array(vision_detection("a", (4, 3, 2, 2)))), SIZE, 0)
    held: list[Region] = [regions.region("a")]
    assert regions.region("a") is held[0]
