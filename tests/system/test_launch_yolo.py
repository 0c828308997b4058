# SPDX-License-Identifier: Apache-2.0
"""gar_yolo.launch.py by the real `ros2 launch`, beside a stand-in for yolo_ros with its launch arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from std_msgs.msg import Header

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.encodings import image_array
from gar_ros.messages.images import image_message
from tests.processes import ChildProcess, StartProcess, session_members
from tests.system.conftest import usual_parameters
from tests.system.detector_packages import with_messages
from tests.system.robot import PATIENCE, Robot, picture, refusal, wait_until

LAUNCH = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PARAMETERS = {"model_type": "YOLO", "model": "yolov8m.pt", "enable": "True", "image_reliability": "1"}
OTHERS = {"namespace": "yolo", "input_image_topic": "/camera/rgb/image_raw", "use_tracking": "True"}


def generate_launch_description():
    common = {
        "package": "yolo_ros",
        "namespace": LaunchConfiguration("namespace"),
        "remappings": [("image_raw", LaunchConfiguration("input_image_topic"))],
        "output": "screen",
    }
    parameters = {name: LaunchConfiguration(name) for name in PARAMETERS}
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value) for name, value in (PARAMETERS | OTHERS).items()),
            Node(executable="yolo_node", name="yolo_node", parameters=[parameters], **common),
            Node(
                executable="tracking_node",
                name="tracking_node",
                condition=IfCondition(LaunchConfiguration("use_tracking")),
                **common,
            ),
        ]
    )
"""


def write_stand_in(prefix: Path, checkout: Path) -> None:
    """An install space of yolo_bringup and yolo_ros."""
    for package in ("yolo_bringup", "yolo_ros", "yolo_msgs"):
        marker = prefix / "share/ament_index/resource_index/packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    launch = prefix / "share/yolo_bringup/launch/yolo.launch.py"
    launch.parent.mkdir(parents=True)
    launch.write_text(LAUNCH)
    for program in ("yolo_node", "tracking_node"):
        file = prefix / "lib/yolo_ros" / program
        file.parent.mkdir(parents=True, exist_ok=True)
        module = "tests.system.stand_ins.yolo_ros"
        file.write_text(f'#!/bin/sh\ncd "{checkout}" && exec "{sys.executable}" -m {module} {program} "$@"\n')
        file.chmod(0o755)


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> dict[str, str]:
    """Environment in which the stand-in and yolo_msgs are installed."""
    folder = tmp_path_factory.mktemp("yolo")
    environment = with_messages(folder / "messages", checkout, ["yolo_msgs"])
    write_stand_in(folder / "install", checkout)
    prefixes = environment.get("AMENT_PREFIX_PATH", f"{sys.prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}")
    return {**environment, "AMENT_PREFIX_PATH": f"{folder / 'install'}:{prefixes}"}


Launch = Callable[..., ChildProcess]


@pytest.fixture
def launch(ros2: str, start_process: StartProcess, checkout: Path, model_dir: Path, tmp_path: Path) -> Launch:
    """`launch(environment, *arguments)` starts gar_yolo.launch.py of this checkout beside the tests' node."""
    given = "".join(f"    {name}: {value}\n" for name, value in usual_parameters(model_dir).items())
    parameters = tmp_path / "gar.yaml"
    parameters.write_text(f"/**:\n  ros__parameters:\n{given}")
    file = checkout / "launch/gar_yolo.launch.py"

    def start(environment: dict[str, str], *arguments: str) -> ChildProcess:
        command = [ros2, "launch", str(file), f"params_file:={parameters}", *arguments]
        return start_process(*command, env=environment)

    return start


def camera(topic: str) -> Callable[[Header], list[tuple[str, Any]]]:
    """A camera without a detector."""
    return lambda header: [(topic, image_message(picture(), "rgb8", header))]


def wait_for_masks(client: RegionClient, expected: dict[str, tuple[str, int]]) -> None:
    """Waits until these regions, and no others, are listed. expected: label and number of pixels, by id."""
    seen: dict[str, tuple[str, int]] = {}

    def is_there() -> bool:
        with suppress(GarError):  # no image yet, or an old one on a busy machine
            listed = client.list_regions(with_masks=True).regions
            seen.clear()
            seen.update({one.id: (one.label, int((image_array(one.mask) > 0).sum())) for one in listed})
        return seen == expected

    wait_until(is_there, lambda: f"{expected}, listed were {seen}")


def test_what_yolo_finds_and_tracks_are_the_regions(robot: Robot, launch: Launch, yolo: dict[str, str]) -> None:
    launched = launch(yolo, "image:=/front/image_raw")
    launched.wait_for_log("stand-in for YOLO yolov8m-seg.pt, enabled: True", PATIENCE)
    with robot.publishing(camera("/front/image_raw")):
        wait_for_masks(robot.client, {"11": ("red", 3600), "12": ("blue", 3600)})
        assert robot.client.query("What is <Prompt0>?", ["12"], max_tokens=1).region_ids == ["12"]
    assert launched.interrupt(PATIENCE) == 0
    assert session_members(launched.pid) == []


def test_words_are_the_classes_in_a_namespace(robot: Robot, launch: Launch, yolo: dict[str, str]) -> None:
    """YOLOE begins when it knows them: nothing has another label before."""
    launched = launch(yolo, "namespace:=robot", "image:=image", "classes:=mug, red box", "yolo_model:=mine-seg.pt")
    launched.wait_for_log("stand-in for YOLOE mine-seg.pt, enabled: False", PATIENCE)
    client = RegionClient(robot.node, "/robot/gar")
    with robot.publishing(camera("/robot/image")):
        wait_for_masks(client, {"11": ("mug", 3600), "12": ("red box", 3600)})
    assert "classes ['mug', 'red box'], enabled: False" in launched.log
    assert launched.interrupt(PATIENCE) == 0


def test_each_of_several_cameras_has_a_yolo(robot: Robot, launch: Launch, yolo: dict[str, str]) -> None:
    launched = launch(yolo, "cameras:=front,wrist", "image:=/{camera}/image_raw")
    front, wrist = (RegionClient(robot.node, f"/gar/{camera}") for camera in ("front", "wrist"))
    with robot.publishing(camera("/front/image_raw")):
        wait_for_masks(front, {"11": ("red", 3600), "12": ("blue", 3600)})
        assert refusal(wrist.list_regions)[0] is ErrorCode.NO_FRAME
    with robot.publishing(camera("/wrist/image_raw")):
        wait_for_masks(wrist, {"11": ("red", 3600), "12": ("blue", 3600)})
    assert launched.interrupt(PATIENCE) == 0


def test_the_node_can_track_instead(robot: Robot, launch: Launch, yolo: dict[str, str]) -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    launched = launch(yolo, "tracking:=similari")
    with robot.publishing(camera("image")):
        wait_for_masks(robot.client, {"t1": ("red", 3600), "t2": ("blue", 3600)})
    assert "tracking_node" not in launched.log
    assert launched.interrupt(PATIENCE) == 0


def test_without_yolo_ros_the_launch_says_what_to_install(launch: Launch) -> None:
    prefixes = f"{sys.prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}"
    launched = launch({"AMENT_PREFIX_PATH": prefixes})
    assert launched.wait(PATIENCE) != 0
    assert (
        "expected the packages of yolo_ros to be installed, found no yolo_bringup, yolo_ros, yolo_msgs; "
        in launched.log
    )
    assert "clone https://github.com/mgonzs13/yolo_ros into the workspace" in launched.log
    assert "process started" not in launched.log, "not the GAR node alone"


def test_a_value_that_is_no_choice_is_refused(launch: Launch, yolo: dict[str, str]) -> None:
    launched = launch(yolo, "tracking:=bytetrack")
    assert launched.wait(PATIENCE) != 0
    assert 'Argument "tracking" provided value "bytetrack" is not valid' in launched.log
