# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a session of ONNX Runtime that fails once each time a test asks for it: a stand-in for real ones.

A file in the folder GAR_FAILS asks; its name is that of the graph, and it is gone once the session has failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from gar_ros.engine.runtime.ort import OrtRunner, OrtRuntime
from gar_ros.node import gar_node


def is_asked_to_fail(graph: str) -> bool:
    """Whether a test asks for it now."""
    try:
        (Path(os.environ["GAR_FAILS"]) / graph).unlink()
    except FileNotFoundError:
        return False
    return True


class FailingRunner:
    """A graph whose session fails when it is told to."""

    def __init__(self, runner: OrtRunner, name: str) -> None:
        self._runner, self._name = runner, name

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """See Runner."""
        if is_asked_to_fail(self._name):
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL : a node of {self._name} could not be run")
        return dict(self._runner.run(feeds))


def main() -> int:
    """The executable; returns its exit code."""
    load = OrtRuntime.load

    def load_failing(self: OrtRuntime, graph: Path) -> FailingRunner:
        return FailingRunner(load(self, graph), graph.name)

    with patch.object(OrtRuntime, "load", load_failing):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
