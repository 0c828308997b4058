"""Frame, regions and a question in, an answer out; no ROS, no torch."""
