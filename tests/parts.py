# SPDX-License-Identifier: Apache-2.0
"""The two parts of the tests: `make test` runs the robot side, `make test-all` the rest too.

The rest is what needs torch, TensorRT for RTX, the tools of the docs site or golden data, or minutes. It is told by
what a test asks for: the packages that its file needs (tests/optional.py), and the fixtures that it takes, directly or
indirectly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.optional import NEEDED_BY, OF_TEST_ALL, TESTS

Part = Literal["robot", "rest"]

FIXTURES = {"golden_path", "shared"}
"""Those of golden data; a test that takes them is one of the rest."""

TAKES_MINUTES = "minutes"
"""A fixture of tests that have so much time."""

LONGEST = ("system/test_colcon.py", "system/test_detectors.py", "system/test_soak.py")
"""Files that workers begin with, so that they don't wait for them at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """--part."""
    parser.addoption("--part", choices=("robot", "rest"), help="which tests to run, see tests/parts.py; default: all")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whole files of the rest aren't imported for the robot side, whether their packages are installed or not."""
    return True if config.option.part == "robot" and needs_packages(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests of the part."""
    wanted: Part | None = config.option.part
    if wanted is not None:
        config.hook.pytest_deselected(items=[item for item in items if part_of(item) != wanted])
        items[:] = [item for item in items if part_of(item) == wanted]
    items.sort(key=lambda item: item.nodeid.split("::")[0].removeprefix("tests/") not in LONGEST)


def part_of(item: pytest.Item) -> Part:
    """Which part a test belongs to."""
    fixtures = item.fixturenames if isinstance(item, pytest.Function) else []
    return "rest" if {*FIXTURES, TAKES_MINUTES} & set(fixtures) or needs_packages(item.path) else "robot"


def needs_packages(path: Path) -> bool:
    """Whether a file or folder below `tests` needs packages that only `make test-all` installs."""
    needing = [TESTS / name for package in OF_TEST_ALL for name in NEEDED_BY.get(package, ())]
    return any(path == one or one in path.parents for one in needing)
