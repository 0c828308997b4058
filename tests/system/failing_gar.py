# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a runtime or a memory that fails once each time a test asks for it: a stand-in for real faults.

A file in the folder GAR_FAILS is the request; its name says what fails, and it is gone once that has failed:
vision.onnx, replay.onnx or decoder.onnx: ONNX Runtime's session of that graph; worker: what the worker thread does,
with an exception of a kind that nobody expects there; panic: the same with one that is no Exception, as libraries
written in Rust raise.
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
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.node import gar_node


class PanicException(BaseException):
    """What a panic of Rust code becomes in Python."""


def fails(what: str) -> bool:
    """Whether a test asks for this failure now."""
    try:
        (Path(os.environ["GAR_FAILS"]) / what).unlink()
    except FileNotFoundError:
        return False
    return True


class FailingRunner:
    """A graph whose session fails when it is told to."""

    def __init__(self, runner: OrtRunner, name: str) -> None:
        self._runner, self._name = runner, name

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """See Runner."""
        if fails(self._name):
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL : a node of {self._name} could not be run")
        return dict(self._runner.run(feeds))


def main() -> int:
    """The executable; returns its exit code."""
    load, get = OrtRuntime.load, EncodedMemory.get

    def load_failing(self: OrtRuntime, graph: Path) -> FailingRunner:
        return FailingRunner(load(self, graph), graph.name)

    def get_failing(*arguments: Any, **named: Any) -> Any:
        if fails("worker"):
            raise KeyError("nobody expected this")
        if fails("panic"):
            raise PanicException("called `Option::unwrap()` on a `None` value")
        return get(*arguments, **named)

    with patch.object(OrtRuntime, "load", load_failing), patch.object(EncodedMemory, "get", get_failing):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
