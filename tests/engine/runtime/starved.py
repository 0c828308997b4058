# SPDX-License-Identifier: Apache-2.0
"""A process whose memory ends while it reads a question, and that gets some again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import resource, sys
import numpy as np
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import GarError
from gar_ros.region import Region

engine = GarEngine.open(sys.argv[1], sys.argv[2], threads=1, max_memory=1 << 40)
image = np.zeros((600, 600, 3), np.uint8)
region = Region.from_box("a", (0, 0, 9, 9), (600, 600))
frame = engine.encode(image, [region])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
try:
    frame.ask("What?" + " a" * 700, max_tokens=1)
except GarError as error:
    print(error.code.name, error.message)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(frame.ask("What?", max_tokens=1).generated_tokens)
print(engine.encode(255 - image, [region]).ask("What?", max_tokens=1).generated_tokens)
"""


def starved(model_dir: Path, provider: str) -> subprocess.CompletedProcess[str]:
    """The ended process: three lines, of the refusal, and of a token for that image and for another one."""
    command = [sys.executable, "-c", _PROGRAM, str(model_dir), provider]
    return subprocess.run(command, capture_output=True, text=True, check=False)
