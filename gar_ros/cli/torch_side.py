# SPDX-License-Identifier: Apache-2.0
"""The commands that need torch import it here, so that the others and the robot never do.

    python -m gar_ros.cli.torch_side NAME ...

runs the main function of gar_export.NAME in a process of its own.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType

from gar_ros.errors import ErrorCode, GarError


def import_export(name: str) -> ModuleType:
    """The module gar_export.<name>. Raises GarError INVALID_REQUEST where torch or a companion is not installed."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
    in_checkout = Path(__file__).resolve().parents[2] / "export"
    if (in_checkout / "gar_export").is_dir():  # this checkout's, not an older installed one
        sys.path.insert(0, str(in_checkout))
    try:
        return importlib.import_module(f"gar_export.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("gar_ros", "gar_export")):
            raise
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"this command runs off the robot and needs torch, transformers, timm, onnx and onnxscript: {error}",
        ) from error


if __name__ == "__main__":
    try:
        sys.exit(import_export(sys.argv[1]).main(sys.argv[2:]))
    except GarError as error:
        sys.exit(error.message)
