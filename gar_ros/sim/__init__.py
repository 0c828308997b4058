"""A randomised robot tabletop, rendered off screen by MuJoCo, with its ground truth. No ROS, no torch."""

import os

# MuJoCo chooses its OpenGL backend when it is first imported; EGL renders without a display. The user's value wins.
os.environ.setdefault("MUJOCO_GL", "egl")
