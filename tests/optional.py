# SPDX-License-Identifier: Apache-2.0
"""Packages that only some machines have: what is skipped without them, and processes that can't see them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NEEDED_BY: dict[str, tuple[str, ...]] = {
    "mujoco": (
        "bag",
        "bench/test_tabletop_scenes.py",
        "bench/test_tabletop_score.py",
        "demo",
        "geometry/test_tabletop.py",
        "sim",
        "system/test_camera.py",
        "system/test_clear_table.py",
        "system/test_compose.py",
        "system/test_demo.py",
        "system/test_replayed_bag.py",
        "tools/test_fleet.py",
        "tools/test_graph_table.py",
    ),
    "sphinx": ("docs/test_site.py",),
    "pycocotools": ("bench", "fleet/test_annotate_on_ray.py", "system/test_photographs.py"),
    "rosbags": ("bag", "fleet/test_annotate_on_ray.py", "system/test_replayed_bag.py", "tools/test_fleet.py"),
    "ray": ("fleet/test_annotate_on_ray.py", "fleet/test_ray_pool.py"),
    "onnx": ("engine/runtime/test_runtime.py",),
    "mcp": ("mcp_server", "system/test_mcp.py"),
    "openvino": ("engine/runtime/test_openvino.py",),
    "tensorrt_rtx": (
        "engine/runtime/tensorrt/test_plans.py",
        "engine/runtime/tensorrt/test_real_bindings.py",
        "engine/runtime/tensorrt/test_real_modules.py",
        "engine/runtime/tensorrt/test_rtx.py",
        "export/test_gpu_plans.py",
    ),
    "torch": ("export", "tools/test_quirks.py"),
}
"""Package -> folders and files of tests that can't be imported without it."""

OF_TEST_ALL = ("torch", "tensorrt_rtx", "sphinx")
"""Packages that `make test-all` installs. The others come with `make test`."""


def absent_packages(path: Path) -> list[str]:
    """The packages that these tests need and that are not installed. path: folder or file below `tests`."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return [package for package, tests in NEEDED_BY.items() if name in tests and find_spec(package) is None]


def without_packages(folder: Path, *packages: str) -> dict[str, str]:
    """Environment of a child process that can't import these packages, whether they are installed or not.

    folder: where modules are written that fail as absent ones do.
    """
    for package in packages:
        (folder / package).mkdir(parents=True)
        failure = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n"
        (folder / package / "__init__.py").write_text(failure)
    return {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}


class Skipped(pytest.File):
    """Tests that are skipped before anything in them is imported."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        absent = absent_packages(self.path)
        target = "test-all" if set(absent) & set(OF_TEST_ALL) else "test"
        pytest.skip(f"{self.path.relative_to(TESTS)} needs {' and '.join(absent)} (make {target})")


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Instead of a folder with its conftest.py."""
    return Skipped.from_parent(parent, path=path) if absent_packages(path) else None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Instead of one file."""
    return Skipped.from_parent(parent, path=module_path) if absent_packages(module_path) else None
