"""The golden checkpoints, exported and opened once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from gar_ros.engine.engine import GarEngine

OpenEngine = Callable[[str], GarEngine]


@pytest.fixture(scope="session")
def golden_engine(request: pytest.FixtureRequest) -> OpenEngine:
    """Engine of the golden checkpoint of that name."""
    folders = {"tiny_gar_1b": "golden_model_dir", "tiny_gar_8b_like": "golden_8b_model_dir"}

    @cache
    def open_engine(checkpoint: str) -> GarEngine:
        folder: Path = request.getfixturevalue(folders[checkpoint])
        return GarEngine.open(folder, "cpu", threads=1)

    return open_engine


@pytest.fixture(scope="session")
def engine(golden_engine: OpenEngine) -> GarEngine:
    """Of the GAR-1B-shaped checkpoint: random weights, so answers mean nothing."""
    return golden_engine("tiny_gar_1b")
