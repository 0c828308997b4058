# SPDX-License-Identifier: Apache-2.0
"""Golden data, what the released code computed, and photographs. What needs them is not among `make test`'s tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import golden
from tests.engine.golden import GoldenCase

CHECKOUT = Path(__file__).resolve().parents[1]

FindGolden = Callable[[str], Path]
"""Name of a file or folder of the golden data -> path."""

FindCase = Callable[[str], GoldenCase]
"""Name of a golden case -> the case."""


@pytest.fixture(scope="session")
def golden_path() -> FindGolden:
    """Finds files and folders of the golden data; skips the test where there is none."""
    if not golden.has_golden_data():
        pytest.skip("there is no golden data, which is not published: shared/golden beside the checkout")
    return golden.golden_path


@pytest.fixture(scope="session")
def golden_case(golden_path: FindGolden) -> FindCase:
    """Reads golden cases; skips the test where there is no golden data."""
    return golden.golden_case


@pytest.fixture(scope="session")
def shared() -> Path:
    """Read-only golden data and photographs beside the checkout; tests that need them skip without."""
    folder = (CHECKOUT / "../shared").resolve()
    if not (folder / "golden").is_dir():
        pytest.skip("there are no photographs, which are not published: shared/gar_bench beside the checkout")
    return folder
