# SPDX-License-Identifier: Apache-2.0
"""A small picture with two regions, and environments of users."""

from __future__ import annotations

import pwd

import numpy as np
import pytest

from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.region import Region
from tests.engine.scene import HEIGHT, WIDTH


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def regions() -> list[Region]:
    boxes = {"left": (2, 3, 20, 30), "right": (40, 10, 60, 40)}
    return [Region.from_box(name, box, (WIDTH, HEIGHT)) for name, box in boxes.items()]


@pytest.fixture(scope="module")
def frame(engine: GarEngine, image: np.ndarray, regions: list[Region]) -> EncodedFrame:
    return engine.encode(image, regions, max_tiles=1)


@pytest.fixture
def without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has neither a home nor a cache folder named, as in a container with a bare `--user`."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
