"""The simulated tabletop: scenes, rendering, truth; no ROS."""
