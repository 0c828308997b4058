# SPDX-License-Identifier: Apache-2.0
"""Libraries that rosbags is built on, by name: whoever has installed rosbags has them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

lz4_frame: Any = import_module("lz4.frame")
yaml: Any = import_module("ruamel.yaml")
zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
