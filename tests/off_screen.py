# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can draw the simulated tabletop."""

from __future__ import annotations

import ctypes
import os

import pytest

import gar_ros.sim  # noqa: F401  (sets MUJOCO_GL)


def skip_without_off_screen_opengl() -> None:
    """Skips the test or fixture that calls it where MuJoCo or its OpenGL is not installed."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed, which draws the tabletop (make test)")
    try:
        ctypes.CDLL("libEGL.so.1" if os.environ["MUJOCO_GL"] == "egl" else "libOSMesa.so.8")
    except OSError as error:
        pytest.skip(f"no off-screen OpenGL to render with: {error}")
