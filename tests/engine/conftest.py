"""The engine that most tests ask."""

from __future__ import annotations

import pytest

from gar_ros.engine.engine import GarEngine
from tests.fixtures_export import OpenEngine


@pytest.fixture(scope="session")
def engine(golden_engine: OpenEngine) -> GarEngine:
    """Of the GAR-1B-shaped checkpoint: random weights, so answers mean nothing."""
    return golden_engine("tiny_gar_1b")
