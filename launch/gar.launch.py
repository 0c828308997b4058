# SPDX-License-Identifier: Apache-2.0
"""Starts the GAR node beside a camera driver and a detector.

    ros2 launch gar_ros gar.launch.py image:=/camera/image_raw instances:=/detector/instances

One node with one model can serve several cameras, each with topics and services below its name:

    ros2 launch gar_ros gar.launch.py cameras:=front,wrist image:=/{camera}/image_raw instances:=/{camera}/instances

For large images start it and the camera with FASTRTPS_DEFAULT_PROFILES_FILE naming config/fastdds_shm.xml.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

if TYPE_CHECKING:
    from launch import LaunchContext

NODE = "gar"
BOOLEANS = ["true", "false", "True", "False"]
AS_IN_FILE = "; empty: as in params_file"
RESPAWN_DELAY = 2.0  # seconds
PARAMETERS = {
    "model": ("model", "model folder", None),
    "provider": ("runtime.provider", "what runs the model: auto, cpu, openvino, cuda or tensorrt", None),
    "regions_type": ("input.regions_type", "message type of regions, such as yolo_msgs/DetectionArray", None),
    "label_packing": ("input.label_packing", "what instances holds: none (the region's id) or class_instance", None),
    "tracking": ("tracking.method", "how regions are followed: detector (by ids) or similari (by boxes)", None),
    "autostart": ("autostart", "configure and activate the node at start", BOOLEANS),
    "use_sim_time": ("use_sim_time", "time of a simulator or a bag, from /clock", BOOLEANS),
}
"""Launch arguments that set a parameter: its name, what it is, and its choices."""
TOPICS = {
    "image": "camera image (sensor_msgs/Image)",
    "regions": "regions on the image (gar_ros/RegionArray, or regions_type)",
    "instances": "or regions as an instance-label image (sensor_msgs/Image mono8, mono16 or 32SC1)",
    "depth": "depth registered to the image (sensor_msgs/Image 32FC1 or 16UC1)",
    "camera_info": "camera of image and depth (sensor_msgs/CameraInfo)",
    "points": "instead of depth: organised cloud (sensor_msgs/PointCloud2), with parameter depth.source: points",
}


def generate_launch_description() -> LaunchDescription:
    """Arguments and the node."""
    params_file = PathJoinSubstitution([FindPackageShare("gar_ros"), "config", "gar.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("params_file", default_value=params_file, description="parameters of the node"),
            *(
                DeclareLaunchArgument(
                    name, default_value="", description=what + AS_IN_FILE, choices=choices and ["", *choices]
                )
                for name, (_, what, choices) in PARAMETERS.items()
            ),
            DeclareLaunchArgument("namespace", default_value="", description="namespace of node and topics"),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                description="which messages of the node are shown",
                choices=["debug", "info", "warn", "error", "fatal"],
            ),
            DeclareLaunchArgument(
                "respawn", default_value="false", description="start the node again when it ends", choices=BOOLEANS
            ),
            DeclareLaunchArgument(
                "cameras",
                default_value="",
                description="names of several cameras, such as front,wrist; their topics are `front/image` and so on, "
                "or {camera} in the arguments below stands for the name" + AS_IN_FILE,
            ),
            *(DeclareLaunchArgument(name, default_value=name, description=what) for name, what in TOPICS.items()),
            OpaqueFunction(function=gar_node),
        ]
    )


def gar_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameters that were given on the command line winning over the file."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    # PushRosNamespace leaves the namespace of an including launch file here.
    logger = logger_name(LaunchConfiguration("ros_namespace", default="").perform(context), value("namespace"))
    overrides: dict[str, str | bool | list[str]] = {}
    for argument, (parameter, _, choices) in PARAMETERS.items():
        if given := value(argument):
            overrides[parameter] = given.lower() == "true" if choices else given
    topics = {name: value(name) for name in TOPICS}
    if cameras := [name.strip() for name in value("cameras").split(",") if name.strip()]:
        overrides["cameras"] = cameras
        topics = {
            f"{camera}/{name}": topic_of(camera, name, topic, len(cameras))
            for camera in cameras
            for name, topic in topics.items()
        }
    return [
        Node(
            package="gar_ros",
            executable="gar_node",
            name=NODE,
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), overrides],
            remappings=list(topics.items()),
            ros_arguments=["--log-level", f"{logger}:={value('log_level')}"],
            respawn=value("respawn").lower() == "true",
            respawn_delay=RESPAWN_DELAY,
            output="screen",
            emulate_tty=True,
        )
    ]


def topic_of(camera: str, argument: str, topic: str, cameras: int) -> str:
    """The topic of one of several cameras. argument, topic: as on the command line; a relative topic is below the
    camera's name."""
    if "{camera}" in topic:
        return topic.replace("{camera}", camera)
    if not topic.startswith(("/", "~")):
        return f"{camera}/{topic}"
    if cameras > 1:
        raise RuntimeError(
            f"{argument}:={topic}: expected a topic of each camera: write {{camera}} where its name belongs, "
            f"as in {argument}:=/{{camera}}/{argument}"
        )
    return topic


def logger_name(pushed: str, namespace: str) -> str:
    """The name of the node's logger: ROS joins namespaces and node by dots. pushed: the namespace around this file."""
    whole = namespace if namespace.startswith("/") else f"{pushed}/{namespace}"
    return ".".join([*filter(None, whole.split("/")), NODE])
