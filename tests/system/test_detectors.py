# SPDX-License-Identifier: Apache-2.0
"""Detectors that people run, each with messages of its real package, and a compressed camera image.

Where vision_msgs or yolo_msgs is not installed (PyPI has neither), one is built from the package's field layout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.encodings import image_array
from tests.optional import without_packages
from tests.processes import ChildProcess, StartProcess
from tests.system.conftest import GarStarter, usual_parameters
from tests.system.detector_packages import MESSAGES, with_messages
from tests.system.robot import (
    PATIENCE,
    Mailbox,
    Robot,
    labelled_scene,
    picture,
    refusal,
    start_gar,
    wait_for,
    wait_until,
)

QUESTION = "What is <Prompt0>?"

DETECTOR = """
import sys, time
import numpy as np, rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from gar_ros.messages.images import image_message
from tests.system.robot import labels_of, picture

kind, ids = sys.argv[1], sys.argv[2].split(",")
if kind == "vision":
    from vision_msgs.msg import Detection2D, Detection2DArray as Array, ObjectHypothesisWithPose
else:
    from yolo_msgs.msg import Detection, DetectionArray as Array, Point2D

def detection(name, x, label):
    if kind == "vision":
        one = Detection2D(id=name)
        for guess, score in (("dog", 0.1), (label, 0.75)):
            result = ObjectHypothesisWithPose()
            result.hypothesis.class_id, result.hypothesis.score = guess, score
            one.results.append(result)
        one.bbox.size_x, one.bbox.size_y = 60.0, 60.0
    else:
        one = Detection(id=name, class_name=label, score=0.75)
        one.bbox.size.x, one.bbox.size.y = 60.0, 60.0
        one.mask.height, one.mask.width = 120, 160  # half of the image
        one.mask.data = [Point2D(x=float(a), y=float(b)) for a, b in ((x / 2 - 15, 40), (x / 2 + 15, 40), (x / 2, 70))]
    one.bbox.center.position.x, one.bbox.center.position.y = float(x), 110.0
    return one

def odd_ones():
    # A turned bar, and what can't be: boxes without width or place, one far away, and two of one name.
    bar, thin, nowhere, far = (detection(name, 150, "odd") for name in ("bar", "thin", "nowhere", "far"))
    bar.bbox.size_y, bar.bbox.center.theta = 20.0, np.pi / 2
    thin.bbox.size_x = 0.0
    nowhere.bbox.center.position.x = np.nan
    far.bbox.center.position.y = 3e9
    return [bar, thin, nowhere, far, detection("twice", 100, "odd"), detection("twice", 200, "odd")]

rclpy.init()
node = rclpy.create_node("detector")
images, arrays = node.create_publisher(Image, "image", 5), node.create_publisher(Array, "regions", 5)
labels = node.create_publisher(Image, "instances", 5)
while True:
    header = Header(stamp=node.get_clock().now().to_msg(), frame_id="camera")
    images.publish(image_message(picture(), "rgb8", header))
    found = [detection(name, x, label) for name, x, label in zip(ids, (70, 230), ("red", "blue"))]
    found += odd_ones() if "odd" in sys.argv else []
    arrays.publish(Array(header=header, detections=found))
    if "labels" in sys.argv:
        labels.publish(image_message(labels_of(picture()), "mono8", header))
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> dict[str, str]:
    """Environment in which vision_msgs and yolo_msgs are installed."""
    return with_messages(tmp_path_factory.mktemp("detectors"), checkout, MESSAGES)


@pytest.fixture
def detect(start_process: StartProcess, model_dir: Path, packages: dict[str, str]) -> Any:
    """`detect(kind, ids, *more, name=value)` starts a node with these parameters, and a detector."""

    def start(kind: str, ids: str, *more: str, **parameters: object) -> ChildProcess:
        name = "vision_msgs/Detection2DArray" if kind == "vision" else "yolo_msgs/DetectionArray"
        given = usual_parameters(model_dir) | {"input.regions_type": name, **parameters}
        node = start_gar(start_process, packages, **given)
        start_process(sys.executable, "-c", DETECTOR, kind, ids, *more, env=packages)
        return node

    return start


def masks(robot: Robot) -> dict[str, tuple[str, int]]:
    """Label and number of pixels of every region that is listed."""
    listed = robot.client.list_regions(with_masks=True)
    assert all(region.score == pytest.approx(0.75) for region in listed.regions)
    return {region.id: (region.label, int((image_array(region.mask) > 0).sum())) for region in listed.regions}


def test_boxes_of_vision_msgs_are_regions(robot: Robot, detect: Any) -> None:
    node = detect("vision", "7,9")
    robot.client.wait_until_ready(PATIENCE)
    assert masks(robot) == {"7": ("red", 3600), "9": ("blue", 3600)}
    assert robot.client.query(QUESTION, ["9"], max_tokens=1).region_ids == ["9"]
    node.wait_for_log("rgb8 images are converted by ", PATIENCE)


def test_odd_detections_cost_only_themselves_and_are_told(robot: Robot, detect: Any) -> None:
    node = detect("vision", "7,9", "odd", **{"diagnostics.rate": 5.0})
    robot.client.wait_until_ready(PATIENCE)
    node.wait_for_log("got 2 with the id 'twice'", PATIENCE)
    node.wait_for_log("region 'thin': expected a box wider and higher than 0 px, got 0, 60", PATIENCE)
    node.wait_for_log("region 'nowhere': expected a box within", PATIENCE)
    listed = {region.id: region for region in robot.client.list_regions(with_masks=True).regions}
    assert {"7", "9", "bar"} < set(listed)
    assert len(listed) == 5, "and the two of one name"
    assert (listed["bar"].box.width, listed["bar"].box.height) == (20, 60), "turned by a quarter"
    assert robot.client.query(QUESTION, ["7"], max_tokens=1).region_ids == ["7"]
    assert refusal(lambda: robot.client.query(QUESTION, ["twice"]))[0] is ErrorCode.UNKNOWN_REGION
    assert refusal(lambda: robot.client.query(QUESTION, ["thin"]))[0] is ErrorCode.INVALID_REQUEST
    mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    wait_until(lambda: "detections on /regions: " in mailbox.wait().status[0].message, lambda: str(mailbox.message))


def test_odd_boxes_do_not_end_association(robot: Robot, detect: Any) -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    detect("vision", ",", "odd", **{"tracking.method": "similari"})
    robot.client.wait_until_ready(PATIENCE)
    first = {region.id for region in robot.client.list_regions().regions}
    assert len(first) == 5, "all that have a pixel, whatever their ids are"
    stamp = robot.client.list_regions().header.stamp
    wait_until(lambda: robot.client.list_regions().header.stamp.sec > stamp.sec + 1)
    assert {region.id for region in robot.client.list_regions().regions} == first


def test_boxes_without_ids_are_other_objects_in_every_image(robot: Robot, detect: Any) -> None:
    """Instead of another object under the same id; a region is found in the image that it was listed in."""
    node = detect("vision", ",", **{"tracking.images_kept": 100, "tracking.tracks_kept": 1000})
    robot.client.wait_until_ready(PATIENCE)
    node.wait_for_log("2 of 2 detections have no id", PATIENCE)
    listed = robot.client.list_regions()
    red = next(region.id for region in listed.regions if region.label == "red")
    wait_until(lambda: robot.client.list_regions().header.stamp != listed.header.stamp)
    assert red not in {region.id for region in robot.client.list_regions().regions}
    assert robot.client.query(QUESTION, [red], max_tokens=1).header.stamp == listed.header.stamp


def test_boxes_without_ids_are_followed(robot: Robot, detect: Any) -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    detect("vision", ",", **{"tracking.method": "similari"})
    robot.client.wait_until_ready(PATIENCE)
    assert {label for label, _ in masks(robot).values()} == {"red", "blue"}
    assert all(name.startswith("t") for name in masks(robot))


def test_boxes_take_their_masks_from_a_label_image(robot: Robot, detect: Any) -> None:
    """Label 1 is the red square; 5 has no pixel: it can't be asked about, the other can."""
    detect("vision", "1,5", "labels", **{"input.regions_masks": "instances"})
    robot.client.wait_until_ready(PATIENCE)
    assert masks(robot) == {"1": ("red", 3600)}
    assert refusal(lambda: robot.client.query(QUESTION, ["5"]))[0] is ErrorCode.EMPTY_MASK


def test_polygons_of_yolo_msgs_are_scaled_to_the_image(robot: Robot, detect: Any) -> None:
    detect("yolo", "a,b")
    robot.client.wait_until_ready(PATIENCE)
    found = masks(robot)
    assert {name: label for name, (label, _) in found.items()} == {"a": "red", "b": "blue"}
    assert all(1700 < pixels < 2000 for _, pixels in found.values()), "a triangle of 60 x 60 px"


def test_a_detector_whose_package_is_missing_is_named(robot: Robot, gar: GarStarter, tmp_path: Path) -> None:
    gar(without_packages(tmp_path / "absent", "yolo_msgs"), **{"input.regions_type": "yolo_msgs/DetectionArray"})
    message = wait_for(lambda: robot.client.query(QUESTION, ["1"]), ErrorCode.NOT_ACTIVE, "yolo_msgs")
    assert "expected the package yolo_msgs to be installed" in message


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_images_are_as_good_as_raw_ones(robot: Robot, gar: GarStarter, suffix: str) -> None:
    gar(**{"input.image_transport": "compressed"})

    def scene(header: Header) -> list[tuple[str, Any]]:
        _, code = cv2.imencode(suffix, picture()[:, :, ::-1])
        image = CompressedImage(header=header, format=suffix[1:], data=as_bytes(np.asarray(code)))
        return [("image/compressed", image), *labelled_scene(header)[1:]]

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        assert [region.id for region in robot.client.list_regions().regions] == ["1", "7"]
        assert robot.client.query(QUESTION, ["7"], max_tokens=1).generated_tokens == 1


def test_a_compressed_image_that_is_none_is_refused(robot: Robot, gar: GarStarter) -> None:
    gar(**{"input.image_transport": "compressed"})

    def scene(header: Header) -> list[tuple[str, Any]]:
        image = CompressedImage(header=header, format="jpeg", data=as_bytes(np.arange(100, dtype=np.uint8)))
        return [("image/compressed", image), *labelled_scene(header)[1:]]

    with robot.publishing(scene):
        message = wait_for(lambda: robot.client.query(QUESTION, ["1"]), ErrorCode.NO_FRAME, "expected a JPEG or PNG")
    assert "/image/compressed" in message
