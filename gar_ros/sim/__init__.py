# SPDX-License-Identifier: Apache-2.0
"""A randomised robot tabletop, rendered off screen by MuJoCo, with its ground truth. No ROS, no torch."""

import os

# MuJoCo reads this when it is first imported; EGL renders without a display. A value that the user has set is kept.
os.environ.setdefault("MUJOCO_GL", "egl")
