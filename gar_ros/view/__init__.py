"""Pictures of answers: pure functions on arrays; no ROS."""
