"""The ROS side: the only package that imports rclpy."""
