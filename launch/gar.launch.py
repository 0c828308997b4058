"""Starts the GAR node beside a camera driver and a detector.

    ros2 launch gar_ros gar.launch.py image:=/camera/image_raw instances:=/detector/instances

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

TOPICS = {
    "image": "camera image (sensor_msgs/Image)",
    "regions": "regions on the image (gar_ros/RegionArray)",
    "instances": "or regions as an instance-label image (sensor_msgs/Image mono8, mono16 or 32SC1)",
    "depth": "depth registered to the image (sensor_msgs/Image 32FC1 or 16UC1)",
    "camera_info": "camera of image and depth (sensor_msgs/CameraInfo)",
    "points": "instead of depth: organised cloud (sensor_msgs/PointCloud2), with parameter depth: points",
}


def generate_launch_description() -> LaunchDescription:
    """Arguments and the node."""
    params_file = PathJoinSubstitution([FindPackageShare("gar_ros"), "config", "gar.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("params_file", default_value=params_file, description="parameters of the node"),
            DeclareLaunchArgument("model", default_value="", description="model folder; empty: as in params_file"),
            DeclareLaunchArgument("autostart", default_value="", description="true or false; empty: as in params_file"),
            DeclareLaunchArgument("namespace", default_value="", description="namespace of node and topics"),
            *(DeclareLaunchArgument(name, default_value=name, description=what) for name, what in TOPICS.items()),
            OpaqueFunction(function=gar_node),
        ]
    )


def gar_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameters that were given on the command line winning over the file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("model", "autostart")}
    overrides: dict[str, str | bool] = {}
    if given["model"]:
        overrides["model"] = given["model"]
    if given["autostart"]:
        overrides["autostart"] = given["autostart"].lower() == "true"
    return [
        Node(
            package="gar_ros",
            executable="gar_node",
            name="gar",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), overrides],
            remappings=[(name, LaunchConfiguration(name)) for name in TOPICS],
            output="screen",
            emulate_tty=True,
        )
    ]
