# SPDX-License-Identifier: Apache-2.0
"""Each detection of a detector's message is its own pixels, or refused by a reason; an odd one costs only itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, RegionSource
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages import detections
from gar_ros.messages.detections import DetectedRegions, found_by_vision, found_by_yolo
from gar_ros.messages.images import image_message
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.messages.lazy_regions import MOST_REGIONS
from tests.messages.detection_messages import Numbers, array, vision_detection, yolo_detection

SIZE = (10, 8)
BOX = (4.0, 3.0, 2.0, 4.0)
NAN, INF = math.nan, math.inf


def seen(*found: object) -> DetectedRegions:
    return DetectedRegions(found_by_vision(array(*found)), SIZE, 0)


def segmented(*found: object) -> DetectedRegions:
    return DetectedRegions(found_by_yolo(array(*found)), SIZE, 0)


def rows(mask: NDArray[np.bool_]) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask]


def refusal(regions: DetectedRegions, key: str) -> GarError:
    with pytest.raises(GarError) as caught:
        regions.region(key)
    return caught.value


def test_a_box_is_the_pixels_between_its_edges() -> None:
    region = seen(vision_detection("7", BOX, dog=0.1, cat=0.75)).region("7")
    assert (region.box, region.label, region.score, int(region.mask.sum())) == ((3, 1, 5, 5), "cat", 0.75, 8)


def test_a_box_turned_by_a_quarter_is_another_region() -> None:
    for turned in (math.pi / 2, -math.pi / 2, 2.5 * math.pi, 1.5707963):
        assert seen(vision_detection("7", BOX, turned)).region("7").box == (2, 2, 6, 4)
        assert segmented(yolo_detection("7", BOX, turned)).region("7").box == (2, 2, 6, 4)


def test_theta_turns_counterclockwise_in_vision_msgs_and_clockwise_in_yolo_msgs() -> None:
    """A long bar at 45 degrees: counterclockwise as one sees the image it rises to the right."""
    bar = (4.0, 4.0, 8.0, 1.0)
    rising = rows(seen(vision_detection("7", bar, math.pi / 4)).region("7").mask)
    assert rising == [
        "..........",
        "......#...",
        ".....#....",
        "....#.....",
        "...#......",
        "..#.......",
        ".#........",
        "..........",
    ]
    assert rows(segmented(yolo_detection("7", bar, math.pi / 4)).region("7").mask) == [
        "..........",
        ".#........",
        "..#.......",
        "...#......",
        "....#.....",
        ".....#....",
        "......#...",
        "..........",
    ]


@pytest.mark.parametrize(
    ("box", "theta", "code", "reason"),
    [
        ((NAN, 3.0, 2.0, 2.0), 0.0, ErrorCode.INVALID_REQUEST, "expected a box within 1e\\+09 px, got nan, 3, 2, 2, 0"),
        ((4.0, 3.0, INF, 2.0), 0.0, ErrorCode.INVALID_REQUEST, "expected a box within"),
        ((4.0, -1e300, 2.0, 2.0), 0.0, ErrorCode.INVALID_REQUEST, "expected a box within"),
        (BOX, NAN, ErrorCode.INVALID_REQUEST, "expected a box within"),
        ((4.0, 3.0, 0.0, 2.0), 0.0, ErrorCode.INVALID_REQUEST, "expected a box wider and higher than 0 px, got 0, 2"),
        ((4.0, 3.0, 2.0, -2.0), 0.0, ErrorCode.INVALID_REQUEST, "wider and higher than 0 px, got 2, -2"),
        (
            (-4.0, 3.0, 2.0, 2.0),
            0.0,
            ErrorCode.EMPTY_MASK,
            "expected a pixel inside the 10x8 px image, got none in its",
        ),
        ((3e9 / 4, 3.0, 2.0, 2.0), 0.3, ErrorCode.EMPTY_MASK, "got none in its box"),
        ((4.0, 3.0, 0.2, 2.0), 0.0, ErrorCode.EMPTY_MASK, "got none in its box"),
    ],
)
def test_a_box_that_can_not_be_costs_only_itself(box: Numbers, theta: float, code: ErrorCode, reason: str) -> None:
    for regions in (
        seen(vision_detection("odd", box, theta), vision_detection("7", BOX)),
        segmented(yolo_detection("odd", box, theta), yolo_detection("7", BOX)),
    ):
        assert regions.ids() == ("odd", "7")
        assert regions.region("7").box == (3, 1, 5, 5)
        with pytest.raises(GarError, match=f"region 'odd': .*{reason}") as caught:
            regions.region("odd")
        assert caught.value.code is code
        assert [one.key for one in regions.sightings(boxes=True)] == ["7"]
        assert [one.detector_id for one in regions.sightings(boxes=False)] == ["odd", "7"]
        assert len(regions.odd) == 1
        assert regions.odd[0].startswith("1 of 2 detections are odd: region 'odd': ")


def test_an_odd_detection_without_an_id_can_not_even_be_asked_about() -> None:
    regions = seen(vision_detection("", (4.0, 3.0, 0.0, 2.0)), vision_detection("", BOX))
    assert regions.ids() == ("detection:1",)
    assert [one.key for one in regions.sightings(boxes=False)] == ["detection:1"]


TRIANGLE = [(1.0, 1.0), (6.0, 1.0), (1.0, 6.0)]


def test_a_polygon_is_what_it_encloses_whatever_the_box_says() -> None:
    region = segmented(yolo_detection("7", (NAN, 3.0, 0.0, 0.0), polygon=TRIANGLE)).region("7")
    assert rows(region.mask)[:3] == ["..........", ".######...", ".#####...."]
    assert region.box == (1, 1, 7, 7)


def test_a_polygon_is_scaled_from_the_size_that_it_is_for() -> None:
    half = [(x / 2, y / 2) for x, y in TRIANGLE]
    scaled = segmented(yolo_detection("7", BOX, polygon=half, canvas=(5, 4)))
    assert (scaled.region("7").mask == segmented(yolo_detection("7", BOX, polygon=TRIANGLE)).region("7").mask).all()


@pytest.mark.parametrize(("points", "pixels"), [([(2.0, 3.0)], 1), ([(2.0, 3.0), (5.0, 3.0)], 4)])
def test_a_mask_of_one_or_two_corners_is_a_point_or_a_line(points: list[tuple[float, float]], pixels: int) -> None:
    assert int(segmented(yolo_detection("7", BOX, polygon=points)).region("7").mask.sum()) == pixels


def test_a_polygon_that_crosses_itself_has_a_hole_where_it_overlaps_twice() -> None:
    """By the even-odd rule: two squares in one line, the second inside the first."""
    inner, outer = (
        [(3.0, 3.0), (6.0, 3.0), (6.0, 6.0), (3.0, 6.0), (3.0, 3.0)],
        [(1.0, 1.0), (8.0, 1.0), (8.0, 7.0), (1.0, 7.0), (1.0, 1.0)],
    )
    mask = segmented(yolo_detection("7", BOX, polygon=[*outer, *inner])).region("7").mask
    assert not mask[4, 4]
    assert mask[4, 7]


def test_a_polygon_far_beyond_the_image_covers_what_it_covers() -> None:
    """Its edge runs from corner to corner of a huge square: x + y < 8."""
    far = 5e8
    corners = [(-far, far + 8), (far + 8, -far), (-far, -far)]
    mask = segmented(yolo_detection("7", BOX, polygon=corners)).region("7").mask
    row, column = np.indices(mask.shape)
    assert (mask == (row + column <= 8)).all()


@pytest.mark.parametrize(
    ("polygon", "canvas", "reason"),
    [
        ([(1.0, 1.0), (NAN, 1.0), (1.0, 6.0)], (0, 0), "expected a mask's corners within 1e\\+09 px, got \\(nan, 1\\)"),
        ([(1.0, 1.0), (-INF, 1.0), (1.0, 6.0)], (0, 0), "expected a mask's corners within"),
        ([(1.0, 1.0), (6.0, 2e9), (1.0, 6.0)], (0, 0), "expected a mask's corners within"),
        (TRIANGLE, (-5, 8), "expected a mask of an image, got the size -5x8 px"),
        ([(20.0, 1.0), (26.0, 1.0), (20.0, 6.0)], (0, 0), "expected a pixel inside the 10x8 px image, got none in"),
        ([(-20.0, 1.0), (5.0, -20.0), (-9.0, -30.0)], (0, 0), "got none in its mask"),
    ],
)
def test_a_polygon_that_can_not_be_costs_only_itself(
    polygon: list[tuple[float, float]], canvas: tuple[int, int], reason: str
) -> None:
    regions = segmented(yolo_detection("odd", BOX, polygon=polygon, canvas=canvas), yolo_detection("7", BOX))
    with pytest.raises(GarError, match=f"region 'odd': .*{reason}"):
        regions.region("odd")
    assert regions.region("7").box == (3, 1, 5, 5)
    assert len(regions.odd) == 1


@pytest.mark.parametrize(("score", "taken"), [(NAN, NAN), (INF, NAN), (-0.5, NAN), (87.0, NAN), (1.0000001, 1.0)])
def test_a_score_is_a_share_or_none(score: float, taken: float) -> None:
    regions = segmented(yolo_detection("7", BOX, score=score))
    assert regions.region("7").score == pytest.approx(taken, nan_ok=True)
    assert bool(regions.odd) == (math.isnan(taken) and not math.isnan(score))


def test_the_likeliest_class_is_one_with_a_score() -> None:
    assert seen(vision_detection("7", BOX, ghost=NAN, cat=0.2)).region("7").label == "cat"
    assert seen(vision_detection("7", BOX)).region("7").label == ""


def test_what_a_label_image_lacks_is_named() -> None:
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[2, 3] = 7
    image = LabelRegions(image_message(labels, "mono8", Header()))
    found = [vision_detection(name, (NAN, 0.0, 0.0, 0.0)) for name in ("7", "8", "", "07")]
    regions = DetectedRegions(found_by_vision(array(*found)), SIZE, 0, image)
    assert regions.region("7").box == (3, 2, 4, 3)
    assert refusal(regions, "8").message == "region '8': expected its id to be a value of the label image, got '8'"
    assert refusal(regions, "07").code is ErrorCode.EMPTY_MASK
    assert regions.ids() == ("7", "8", "07")
    assert "3 of 4 detections are odd" in "".join(regions.odd)


def followed(memory: TrackMemory, stamp: int, *found: Any) -> RegionSource:
    frame = Frame(stamp, "camera", SIZE, lambda: np.zeros((*SIZE[::-1], 3), np.uint8), seen(*found))
    regions = memory.follow(frame).regions
    assert regions is not None
    return regions


def test_detections_without_ids_never_change_object_under_one_id() -> None:
    """The detector lists the same two boxes in another order; each id keeps its own pixels."""
    memory = TrackMemory(DetectorIds(2), confirm_after=1, lost_ns=2, capacity=9, images=3)
    left, right = vision_detection("", (2.0, 3.0, 2.0, 2.0)), vision_detection("", (8.0, 3.0, 2.0, 2.0))
    before, after = followed(memory, 1, left, right), followed(memory, 2, right, left)
    assert (before.ids(), after.ids()) == (("detection:1", "detection:2"), ("detection:3", "detection:4"))
    assert [before.region(one).box[0] for one in before.ids()] == [1, 7]
    assert [after.region(one).box[0] for one in after.ids()] == [7, 1]
    shown = memory.last_showing(["detection:1"])
    assert shown is not None
    assert shown.stamp_ns == 1


def test_an_odd_detection_keeps_its_track_and_tells_its_reason() -> None:
    memory = TrackMemory(DetectorIds(2), confirm_after=1, lost_ns=2, capacity=9, images=3)
    followed(memory, 1, vision_detection("cup", BOX), vision_detection("", BOX))
    regions = followed(memory, 2, vision_detection("cup", (NAN, 3.0, 2.0, 2.0)), vision_detection("", BOX))
    assert regions.ids() == ("cup", "detection:2")
    with pytest.raises(GarError, match="region 'cup': expected a box within"):
        regions.region("cup")
    assert regions.region("detection:2").box == (3, 1, 5, 5)


def test_more_regions_than_there_is_time_for_are_refused_together() -> None:
    found = detections.found_by_vision(array(*[vision_detection(str(one), BOX) for one in range(MOST_REGIONS + 1)]))
    with pytest.raises(GarError, match="expected at most 10000 regions in an image, got 10001"):
        DetectedRegions(found, SIZE, 0)
