"""Messages to values and back. Imports ROS message types, never rclpy."""
