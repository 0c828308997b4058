# SPDX-License-Identifier: Apache-2.0
"""Where regions are in space, from depth images or organised point clouds. No ROS."""
