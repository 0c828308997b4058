# SPDX-License-Identifier: Apache-2.0
"""From a request to its answer. No ROS."""
