# SPDX-License-Identifier: Apache-2.0
"""The processes that `gar selftest` starts: `python -m gar_ros.bench.selftest reference|subject|bandwidth ...`."""

import importlib
import sys

if __name__ == "__main__":
    part = importlib.import_module(f"gar_ros.bench.selftest.{sys.argv[1]}")
    sys.exit(part.main(sys.argv[2:]))
