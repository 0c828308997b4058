"""Benchmarks: off the robot, from annotation files to predictions and scores."""
