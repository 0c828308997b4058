# SPDX-License-Identifier: Apache-2.0
"""Recorded bags without a ROS graph: read, answered, written. Needs the Python package rosbags."""
