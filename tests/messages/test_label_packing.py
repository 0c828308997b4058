# SPDX-License-Identifier: Apache-2.0
"""Label images that pack class and instance in one number, `class << 16 | instance` as semantic_inference has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.images import image_message
from gar_ros.messages.label_packing import LabelPacking
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.messages.lazy_regions import MOST_REGIONS
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.settings.inputs import InputSettings

CHAIR, BAG = 1, 3
NAMES = ("ignore", "chair", "", "bag")


def packed(rows: list[list[int]], encoding: str = "32SC1") -> NDArray[Any]:
    """Pixels as a detector casts them: 32SC1 has the same bits as an unsigned number."""
    kind = {"32SC1": np.int32, "32UC1": np.uint32, "16UC1": np.uint16, "mono16": np.uint16, "mono8": np.uint8}[encoding]
    return np.array(rows, np.uint64).astype(kind)


def regions_of(rows: list[list[int]], encoding: str = "32SC1", bits: int = 16, names: Any = NAMES) -> LabelRegions:
    return LabelRegions(image_message(packed(rows, encoding), encoding, Header()), LabelPacking(bits, names))


def labels(regions: LabelRegions) -> list[tuple[str, str]]:
    """Id and label of each region."""
    return [(one.detector_id, one.label) for one in regions.sightings(boxes=True)]


@pytest.mark.parametrize("encoding", ["32SC1", "32UC1"])
def test_the_class_is_the_label_and_the_instance_is_no_id(encoding: str) -> None:
    chair, bag = CHAIR << 16 | 1, BAG << 16 | 2
    regions = regions_of([[0, chair, chair], [bag, bag, chair]], encoding)
    assert labels(regions) == [("", "chair"), ("", "bag")]
    first, second = (regions.region(key) for key in regions.ids())
    assert (first.label, first.box, first.mask.tolist()) == ("chair", (1, 0, 3, 2), [[0, 1, 1], [0, 0, 1]])
    assert (second.label, second.box, second.mask.tolist()) == ("bag", (0, 1, 2, 2), [[0, 0, 0], [1, 1, 0]])
    assert regions.odd == ()
    assert "2 of 2 detections have no id" in regions.nameless, "told where regions are followed by ids"


def test_class_0_has_a_name_too() -> None:
    assert labels(regions_of([[1, 0]])) == [("", "ignore")]


def test_without_names_the_number_is_the_label() -> None:
    regions = regions_of([[5 << 16 | 1, 1]], names=())
    assert sorted(labels(regions)) == [("", "0"), ("", "5")]
    assert regions.odd == ()


@pytest.mark.parametrize("nameless", [2, 4, 40_000])
def test_a_class_without_a_name_has_its_number_and_is_told(nameless: int) -> None:
    """40,000 needs the bit that is 32SC1's sign."""
    regions = regions_of([[CHAIR << 16 | 1, nameless << 16 | 2]])
    assert sorted(labels(regions)) == sorted([("", "chair"), ("", str(nameless))])
    assert regions.odd == (
        "expected a name for every class in parameter input.class_names, which has 4, got class "
        f"{nameless}: its number is its label",
    )


def test_instance_0_is_background_of_any_class() -> None:
    regions = regions_of([[CHAIR << 16, 7 << 16, CHAIR << 16 | 1]])
    assert labels(regions) == [("", "chair")]
    assert regions.odd == (), "class 7 has no region, so it needs no name"


def test_an_image_of_instance_0_alone_is_told() -> None:
    regions = regions_of([[0, CHAIR << 16, BAG << 16]])
    assert labels(regions) == []
    (sentence,) = regions.odd
    assert "expected instance numbers above 0 in the lowest 16 bits of its pixels, got 0 in every pixel" in sentence


def test_an_empty_image_is_no_oddity() -> None:
    regions = regions_of([[0, 0]])
    assert (labels(regions), regions.odd, regions.nameless) == ([], (), "")


def test_one_instance_number_of_two_classes_is_two_regions() -> None:
    regions = regions_of([[CHAIR << 16 | 1, BAG << 16 | 1]])
    assert labels(regions) == [("", "chair"), ("", "bag")]
    assert len(set(regions.ids())) == 2


def test_instances_beyond_the_bits_are_those_of_the_next_class() -> None:
    """A detector that counts on after 65535 has overwritten the class, which no receiver can see."""
    assert labels(regions_of([[(CHAIR << 16) + 65_535, (CHAIR << 16) + 65_537]], names=())) == [("", "1"), ("", "2")]


def test_more_regions_than_there_is_time_for_are_refused() -> None:
    with pytest.raises(GarError, match=f"expected at most {MOST_REGIONS} regions in an image, got 65536") as raised:
        regions_of([[*range(1, 65_536), CHAIR << 16 | 1]])
    assert raised.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("encoding", ["mono8", "mono16", "16UC1"])
def test_an_encoding_without_room_for_a_class_is_refused(encoding: str) -> None:
    with pytest.raises(
        GarError, match=r"more than 16 bits a pixel \(32SC1, 32UC1\), as parameters input.label_packing"
    ):
        regions_of([[1]], encoding)


def test_colours_are_refused() -> None:
    with pytest.raises(GarError, match="expected a label image of encoding mono8"):
        LabelRegions(image_message(np.zeros((2, 2, 3), np.uint8), "rgb8", Header()), LabelPacking())


def test_fewer_bits_leave_room_in_smaller_pixels() -> None:
    assert labels(regions_of([[CHAIR << 8 | 255, BAG << 8 | 1]], "16UC1", bits=8)) == [("", "chair"), ("", "bag")]


def test_the_parameters_say_how_labels_are_packed() -> None:
    assert LabelPacking.of(InputSettings()) is None
    assert LabelPacking.of(InputSettings(label_packing="class_instance")) == LabelPacking(16, ())
    named = InputSettings(label_packing="class_instance", instance_bits=8, class_names=("", "mug"))
    assert LabelPacking.of(named) == LabelPacking(8, ("", "mug"))


def test_the_builder_unpacks_as_its_parameters_say() -> None:
    image = image_message(packed([[CHAIR << 16 | 1, 0]]), "32SC1", Header())
    plain = RegionBuilder(InputSettings()).of_labels(image, (2, 1))
    unpacked = RegionBuilder(InputSettings(label_packing="class_instance", class_names=NAMES)).of_labels(image, (2, 1))
    assert plain is not None and unpacked is not None
    assert [(one.detector_id, one.label) for one in plain.sightings(boxes=False)] == [("65537", "")]
    assert [(one.detector_id, one.label) for one in unpacked.sightings(boxes=False)] == [("", "chair")]
