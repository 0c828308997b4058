# SPDX-License-Identifier: Apache-2.0
"""From an image, its regions and a question to the answer. No ROS, no torch."""

import os

# ONNX Runtime reads it when it is imported; without it newer ones keep a data base in the user's cache folder and send
# what they were used for to their maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
