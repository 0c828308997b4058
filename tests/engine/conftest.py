# SPDX-License-Identifier: Apache-2.0
"""The engine that most tests ask."""

from __future__ import annotations

import pwd

import pytest

from gar_ros.engine.engine import GarEngine
from tests.fixtures_export import OpenEngine


@pytest.fixture(scope="session")
def engine(golden_engine: OpenEngine) -> GarEngine:
    """Of the GAR-1B-shaped checkpoint: random weights, so answers mean nothing."""
    return golden_engine("tiny_gar_1b")


@pytest.fixture
def without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has neither a home nor a cache folder named, as in a container with a bare `--user`."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
