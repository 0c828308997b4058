# SPDX-License-Identifier: Apache-2.0
"""Pictures of regions and answers, drawn by pure functions on arrays. No ROS."""
