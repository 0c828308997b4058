# SPDX-License-Identifier: Apache-2.0
"""Where the simulated camera stands, as tf2 and rviz want to hear it."""

from __future__ import annotations

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from gar_ros.messages.headers import header_message
from gar_ros.sim.scene import Camera

TABLE = "table"
"""The simulator's world frame: z up, the table top is z = 0."""


def publish_table_frame(node: Node, camera: Camera, frame_id: str) -> None:
    """Publishes on /tf_static, latched, where the camera's optical frame `frame_id` is in the frame `table`.

    Without the package tf2_msgs, which holds the topic's type, it only says what is missing.
    """
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        node.get_logger().warning(f"rviz gets no frame '{TABLE}': it needs tf2_msgs (apt: ros-jazzy-tf2-msgs): {error}")
        return
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    stamp = node.get_clock().now().nanoseconds
    pose = TransformStamped(header=header_message(TABLE, stamp), child_frame_id=frame_id)
    move, turn = pose.transform.translation, pose.transform.rotation
    move.x, move.y, move.z = camera.position
    turn.w, turn.x, turn.y, turn.z = camera.orientation
    node.create_publisher(TFMessage, "/tf_static", latched).publish(TFMessage(transforms=[pose]))
