# SPDX-License-Identifier: Apache-2.0
"""What the robot remembers: frames, tracks, keyframes, dialogues, answers and depth. No ROS."""
