"""What the robot remembers: frames, tracks, keyframes, dialogues, answers and depth. No ROS."""
