"""What the robot remembers: newest frames and pairs; no ROS."""
