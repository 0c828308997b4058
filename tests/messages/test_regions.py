# SPDX-License-Identifier: Apache-2.0
"""Regions: messages become values and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages import regions
from gar_ros.messages.images import image_message
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import RegionArray
from gar_ros.region import Region

SIZE = (6, 4)  # width, height


def labels(values: NDArray[np.generic], encoding: str) -> LabelRegions:
    header = Header(stamp=Time(sec=1, nanosec=5))
    return LabelRegions(image_message(values, encoding, header))


def region_message(
    mask: NDArray[np.uint8] | None = None, box: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> RegionMessage:
    """box: x, y, width, height."""
    x, y, width, height = box
    roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
    image = Image() if mask is None else image_message(mask, "mono8", Header())
    return RegionMessage(id="cup", label="mug", score=0.5, box=roi, mask=image)


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [
        ("mono8", np.uint8),
        ("8UC1", np.uint8),
        ("mono16", np.uint16),
        ("16UC1", np.uint16),
        ("32SC1", np.int32),
        ("32UC1", np.uint32),
    ],
)
def test_each_label_above_zero_is_a_region(encoding: str, dtype: type[np.generic]) -> None:
    values = np.array([[0, 0, 7], [12, 7, 7]], dtype)
    found = labels(values, encoding)
    assert found.ids() == ("7", "12")
    seven = found.region("7")
    assert seven.mask.tolist() == [[False, False, True], [False, True, True]]
    assert (seven.box, seven.stamp_ns) == ((1, 0, 3, 2), 1_000_000_005)


def test_negative_labels_are_background_too() -> None:
    assert labels(np.array([[-1, 0, 3]], np.int32), "32SC1").ids() == ("3",)


def test_an_image_of_one_label_and_one_of_none() -> None:
    assert labels(np.full((2, 2), 4, np.uint8), "mono8").ids() == ("4",)
    assert labels(np.zeros((2, 2), np.uint8), "mono8").ids() == ()


def test_a_colour_image_is_no_label_image() -> None:
    with pytest.raises(GarError, match="expected a label image"):
        labels(np.zeros((2, 2, 3), np.uint8), "rgb8")


def test_a_mask_as_large_as_the_image_needs_no_box() -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2] = 9
    region = regions.region_of(region_message(mask), SIZE, 17)
    assert (region.id, region.label, region.score, region.stamp_ns) == ("cup", "mug", 0.5, 17)
    assert region.box == (2, 1, 3, 3)


def test_a_mask_as_large_as_its_box_is_placed_there() -> None:
    region = regions.region_of(region_message(np.array([[0, 1], [1, 1]], np.uint8), (3, 1, 2, 2)), SIZE, 0)
    assert np.argwhere(region.mask).tolist() == [[1, 4], [2, 3], [2, 4]]


def test_a_box_beyond_the_edge_is_cut_there() -> None:
    region = regions.region_of(region_message(np.ones((3, 3), np.uint8), (4, 2, 3, 3)), SIZE, 0)
    assert region.box == (4, 2, 6, 4)
    assert region.mask.shape == (4, 6)


def test_without_mask_the_box_is_the_region() -> None:
    region = regions.region_of(region_message(None, (1, 1, 3, 2)), SIZE, 0)
    assert region.box == (1, 1, 4, 3)
    assert region.mask.sum() == 6


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (region_message(None, (1, 1, 0, 0)), ErrorCode.EMPTY_MASK),
        (region_message(None, (6, 1, 2, 2)), ErrorCode.EMPTY_MASK),
        (region_message(np.zeros((4, 6), np.uint8)), ErrorCode.EMPTY_MASK),
        (region_message(np.ones((2, 2), np.uint8), (9, 9, 2, 2)), ErrorCode.EMPTY_MASK),
        (region_message(np.ones((3, 3), np.uint8), (0, 0, 2, 2)), ErrorCode.INVALID_REQUEST),
    ],
)
def test_regions_that_can_not_be_are_refused(message: RegionMessage, code: ErrorCode) -> None:
    with pytest.raises(GarError, match="region 'cup'") as caught:
        regions.region_of(message, SIZE, 0)
    assert caught.value.code is code


def test_a_truncated_or_coloured_mask_is_refused() -> None:
    truncated, coloured = region_message(np.ones((4, 6), np.uint8)), region_message(np.ones((4, 6), np.uint8))
    truncated.mask.data = bytes(10)
    coloured.mask.encoding = "rgb8"
    for message, complaint in ((truncated, "bytes of data, got 10"), (coloured, "expected a mono8 mask, got .rgb8")):
        with pytest.raises(GarError, match=complaint):
            regions.region_of(message, SIZE, 0)


def test_a_region_survives_its_message() -> None:
    mask = np.zeros((4, 6), bool)
    mask[2, 1] = mask[3, 4] = True
    region = Region.from_mask("cup", mask, "mug", 0.25, 17)
    message = regions.region_message(region, with_mask=True)
    assert (message.mask.width, message.mask.height) == (4, 2)
    back = regions.region_of(message, SIZE, 17)
    assert (back.id, back.label, back.score, back.box, back.stamp_ns) == ("cup", "mug", 0.25, region.box, 17)
    assert (back.mask == mask).all()
    assert not regions.region_message(region, with_mask=False).mask.data


def test_a_score_that_is_not_given_stays_nan() -> None:
    region = Region.from_mask("cup", np.ones((4, 6), bool))
    assert math.isnan(regions.region_message(region, with_mask=False).score)


def array_of(*messages: RegionMessage) -> RegionArray:
    return RegionArray(width=SIZE[0], height=SIZE[1], regions=list(messages))


def test_regions_without_an_own_id_count_as_unnamed() -> None:
    given = ["a", "b", "a", "", "x" * 256, "c\n"]
    messages = [region_message(None, (0, 0, 1, 1)) for _ in given]
    for message, region_id in zip(messages, given, strict=True):
        message.id = region_id
    found = regions.MessageRegions(array_of(*messages))
    assert found.ids() == ("detection:0", "b", "detection:2", "detection:3", "detection:4", "detection:5")
    assert [sighting.detector_id for sighting in found.sightings(boxes=False)] == ["", "b", "", "", "", ""]
    repeated, unusable = found.odd
    assert "1 of 6 detections have no id" in found.nameless
    assert "got 2 with the id 'a'" in repeated
    assert "got 'c\\x0a' of 2" in unusable


def test_a_malformed_mask_costs_only_its_own_region() -> None:
    malformed, empty, fine = region_message(np.ones((3, 3), np.uint8), (0, 0, 2, 2)), region_message(), region_message()
    malformed.id, fine.id = "bowl", "tray"
    fine.box.width = fine.box.height = 2
    found = regions.MessageRegions(array_of(malformed, empty, fine))
    assert found.ids() == ("bowl", "cup", "tray")
    assert found.region("tray").box == (0, 0, 2, 2)
    with pytest.raises(GarError, match="region 'bowl': expected a mask as large as") as caught:
        found.region("bowl")
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(GarError, match="region 'cup': expected a pixel inside the 6x4 px image, got none in its box"):
        found.region("cup")
    assert [sighting.key for sighting in found.sightings(boxes=True)] == ["tray"]
    assert len(found.odd) == 2


def test_a_score_that_can_not_be_one_counts_as_none() -> None:
    message = region_message(None, (0, 0, 1, 1))
    message.score = 87.0
    found = regions.MessageRegions(array_of(message))
    assert math.isnan(found.region("cup").score)
    assert "expected a score of 0..1, got 87" in found.odd[0]
