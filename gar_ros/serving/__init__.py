"""From a request to its answer. No ROS."""
