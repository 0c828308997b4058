"""Where regions are in space, from depth images or organised point clouds. No ROS."""
