# SPDX-License-Identifier: Apache-2.0
"""From an image, its regions and a question to the answer. No ROS, no torch."""
