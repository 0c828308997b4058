# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a session of ONNX Runtime that fails once each time a test asks for it: a stand-in for real ones.

A file in the folder GAR_FAILS asks; its name is that of the graph, and it is gone once the session has failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from gar_ros.engine.runtime.ort import OrtRunner
from gar_ros.node import gar_node


def is_asked_to_fail(graph: str) -> bool:
    """Whether a test asks for it now."""
    try:
        (Path(os.environ["GAR_FAILS"]) / graph).unlink()
    except FileNotFoundError:
        return False
    return True


def main() -> int:
    """The executable; returns its exit code."""
    run = OrtRunner._bound_run

    def run_or_fail(self: OrtRunner, *arguments: Any) -> dict[str, Any]:
        if is_asked_to_fail(self._graph):
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL : a node of {self._graph} could not be run")
        return dict(run(self, *arguments))

    with patch.object(OrtRunner, "_bound_run", run_or_fail):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
