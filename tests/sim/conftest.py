# SPDX-License-Identifier: Apache-2.0
"""The sim tests need MuJoCo's off-screen OpenGL; without libEGL they are skipped, one line a file."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gar_ros.sim  # noqa: F401  (sets MUJOCO_GL)

if TYPE_CHECKING:
    from gar_ros.sim.render import TabletopRenderer


def _has_opengl() -> bool:
    if os.environ["MUJOCO_GL"] != "egl":
        return True
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    return True


class _ModuleWithoutOpengl(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        pytest.skip("no libEGL.so.1 to render with: apt install libegl1 libgl1-mesa-dri")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return None if _has_opengl() else _ModuleWithoutOpengl.from_parent(parent, path=module_path)


@pytest.fixture(scope="session")
def renderer() -> Iterator[TabletopRenderer]:
    """Pictures of 320x240 pixels."""
    from gar_ros.sim.render import TabletopRenderer  # importing MuJoCo fails without OpenGL

    with TabletopRenderer(320, 240) as opened:
        yield opened
