# SPDX-License-Identifier: Apache-2.0
"""The processes that `gar bench latency` starts: `python -m gar_ros.bench.latency limits|ours ...`."""

import importlib
import sys

if __name__ == "__main__":
    side = importlib.import_module(f"gar_ros.bench.latency.{sys.argv[1]}")
    sys.exit(side.main(sys.argv[2:]))
