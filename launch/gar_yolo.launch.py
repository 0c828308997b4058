# SPDX-License-Identifier: Apache-2.0
"""Starts yolo_ros and the GAR node on one camera image: what YOLO finds are the regions.

    ros2 launch gar_ros gar_yolo.launch.py image:=/camera/image_raw
    ros2 launch gar_ros gar_yolo.launch.py image:=/camera/image_raw classes:="mug,bowl,red box"

Besides its own arguments it takes those of gar.launch.py and of yolo_bringup's yolo.launch.py. yolo_ros is a package
of its own (GPL-3.0): https://github.com/mgonzs13/yolo_ros
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

if TYPE_CHECKING:
    from launch import LaunchContext
    from launch.events.process import ProcessExited
    from launch.launch_description_entity import LaunchDescriptionEntity

DETECTIONS = "yolo_detections"
"""The launch configuration that holds the topic of YOLO's detections."""
YOLO_PACKAGES = ("yolo_bringup", "yolo_ros", "yolo_msgs")
SEGMENTS, SEGMENTS_BY_WORDS = "yolov8m-seg.pt", "yoloe-26m-seg.pt"
ARGUMENTS = {
    "image": ("image", "camera image (sensor_msgs/Image) for YOLO and the node", None),
    "cameras": (
        "",
        "names of several cameras, such as front,wrist, each with a YOLO of its own in <namespace>/<camera>/yolo; in "
        "image, {camera} stands for the name",
        None,
    ),
    "namespace": ("", "namespace of node and topics; YOLO's is <namespace>/yolo", None),
    "yolo_model": (
        "",
        f"Ultralytics model that segments; empty: {SEGMENTS}, or {SEGMENTS_BY_WORDS} where classes are given",
        None,
    ),
    "classes": ("", "what to look for, in words separated by commas (YOLOE); empty: the model's own classes", None),
    "tracking": (
        "detector",
        "who gives ids; detector: yolo_ros's tracking node; similari: the GAR node, by the boxes",
        ["detector", "similari"],
    ),
    "image_reliability": (
        "2",
        "reliability of YOLO's image subscriptions; 1: reliable, 2: best effort, which takes images of every publisher",
        ["0", "1", "2"],
    ),
}
"""Default, meaning and choices of each argument."""


def generate_launch_description() -> LaunchDescription:
    """Arguments, yolo_ros and the node."""
    regions = {"regions": LaunchConfiguration(DETECTIONS), "regions_type": "yolo_msgs/DetectionArray"}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=what, choices=choices)
                for name, (default, what, choices) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=yolo),
            include(Path(__file__).with_name("gar.launch.py"), regions),
        ]
    )


def include(file: Path, arguments: Mapping[str, str | LaunchConfiguration]) -> GroupAction:
    """A launch file whose arguments don't reach what is launched beside it: both have a `model` and a `namespace`."""
    source = PythonLaunchDescriptionSource(str(file))
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])


def yolo(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """yolo_ros for each camera, as its own launch file starts it. Raises RuntimeError where it is not installed."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    # PushRosNamespace leaves the namespace of an including launch file here.
    pushed = LaunchConfiguration("ros_namespace", default="").perform(context)
    cameras = [name.strip() for name in values["cameras"].split(",") if name.strip()]
    file = yolo_launch_file()
    detections = "yolo/tracking" if values["tracking"] == "detector" else "yolo/detections"
    started = [entity for camera in cameras or [""] for entity in yolo_of(camera, values, pushed, file)]
    return [SetLaunchConfiguration(DETECTIONS, detections), *started]


def yolo_of(camera: str, values: Mapping[str, str], pushed: str, file: Path) -> list[LaunchDescriptionEntity]:
    """The yolo_ros of one camera. camera: its name, empty for a single one. values: of ARGUMENTS. pushed: the namespace
    around this file."""
    words = [word.strip() for word in values["classes"].split(",") if word.strip()]
    given = {
        "model_type": "YOLOE" if words else "YOLO",
        "model": values["yolo_model"] or (SEGMENTS_BY_WORDS if words else SEGMENTS),
        "namespace": joined(values["namespace"], camera, "yolo"),
        "input_image_topic": image_topic(camera, values, pushed),
        "image_reliability": values["image_reliability"],
        "use_tracking": str(values["tracking"] == "detector"),
        "use_debug": "False",
        # With words it begins once it knows them: until then it would find what its model was trained to find.
        "enable": str(not words),
    }
    services = joined("/", pushed, values["namespace"], camera, "yolo")
    return [include(file, given), *(class_setting(services, words) if words else ())]


def image_topic(camera: str, values: Mapping[str, str], pushed: str) -> str:
    """Where gar.launch.py lets the node find this camera's image, as a whole name."""
    topic, whole = values["image"].replace("{camera}", camera), "{camera}" in values["image"]
    return joined("/", pushed, values["namespace"], "" if whole else camera, topic)


def yolo_launch_file() -> Path:
    """What starts yolo_ros. Raises RuntimeError where it is not installed."""
    missing = []
    for package in YOLO_PACKAGES:
        try:
            get_package_share_directory(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise RuntimeError(
            f"gar_yolo.launch.py: expected the packages of yolo_ros to be installed, found no {', '.join(missing)}; "
            "clone https://github.com/mgonzs13/yolo_ros into the workspace, install what its README names, run "
            "`colcon build` and source install/setup.bash. Or start another detector with gar.launch.py: see "
            "docs/detectors.md"
        )
    return Path(get_package_share_directory("yolo_bringup")) / "launch/yolo.launch.py"


def class_setting(namespace: str, words: list[str]) -> list[LaunchDescriptionEntity]:
    """Calls that tell YOLOE its classes, once it has loaded its model, and then let it begin."""
    classes = service_call(f"{namespace}/set_classes", "yolo_msgs/srv/SetClasses", {"classes": words})
    begin = service_call(f"{namespace}/enable", "std_srvs/srv/SetBool", {"data": True})

    def classes_set(event: ProcessExited, _: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode == 0:
            return [LogInfo(msg=f"gar_yolo.launch.py: YOLOE looks for {', '.join(words)}"), begin]
        reason = f"gar_yolo.launch.py: {namespace}/set_classes could not be called: YOLOE has no classes"
        return [LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))]

    return [RegisterEventHandler(OnProcessExit(target_action=classes, on_exit=classes_set)), classes]


def service_call(service: str, kind: str, request: dict[str, object]) -> ExecuteProcess:
    """`ros2 service call`, which waits for the service."""
    return ExecuteProcess(cmd=["ros2", "service", "call", service, kind, json.dumps(request)], output="screen")


def joined(*parts: str) -> str:
    """Names of ROS behind each other; one that begins with / leaves out those before it, as in ROS."""
    whole = ""
    for part in parts:
        whole = part if part.startswith("/") else f"{whole.rstrip('/')}/{part}" if whole and part else whole or part
    return whole
