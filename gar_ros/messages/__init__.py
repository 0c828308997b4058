# SPDX-License-Identifier: Apache-2.0
"""Messages to values and back. Imports ROS message types, never rclpy."""
