# SPDX-License-Identifier: Apache-2.0
"""The ROS side: the only package that imports rclpy."""
