# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: off the robot, from annotation files to predictions and scores."""
