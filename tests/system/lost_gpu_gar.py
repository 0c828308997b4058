# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a GPU that is lost when a test asks for it: a stand-in, whose graphs run on the CPU.

Once the folder GAR_LOSES_GPU has a file `busy`, runs wait for a file `lost` beside it, and then fail as those of ONNX
Runtime with CUDA do after an illegal memory access. Freeing the model then ends the process with another exit code, as
the libraries of a lost GPU may.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from gar_ros.engine.runtime.ort import OrtRunner, OrtRuntime
from gar_ros.node import gar_node

REASON = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream)"
LOOK_SECONDS = 0.02


def exists(name: str) -> bool:
    """Whether a test has made this file."""
    return (Path(os.environ["GAR_LOSES_GPU"]) / name).exists()


class Session:
    """What must not be freed once the GPU is lost."""

    def __del__(self) -> None:
        if exists("lost"):
            os._exit(134)


def main() -> int:
    """The executable; returns its exit code."""
    run, load = OrtRunner._bound_run, OrtRuntime.load

    def run_or_fail(self: OrtRunner, *arguments: Any) -> Any:
        if not exists("busy"):
            return run(self, *arguments)
        while not exists("lost"):
            time.sleep(LOOK_SECONDS)
        raise Fail(REASON)

    def load_with_session(self: OrtRuntime, graph: Path) -> OrtRunner:
        runner = load(self, graph)
        if graph.name == "decoder.onnx":
            runner.session_of_the_stand_in = Session()  # type: ignore[attr-defined]
        return runner

    def close(_: OrtRuntime) -> None:
        if exists("lost"):
            os._exit(135)

    with (
        patch.object(OrtRunner, "_bound_run", run_or_fail),
        patch.object(OrtRuntime, "load", load_with_session),
        patch.object(OrtRuntime, "close", close),
    ):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
