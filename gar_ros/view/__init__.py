"""Pictures of regions and answers, drawn by pure functions on arrays. No ROS."""
