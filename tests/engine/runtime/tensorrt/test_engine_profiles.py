# SPDX-License-Identifier: Apache-2.0
"""Which of an engine's profiles takes given shapes."""

from __future__ import annotations

import pytest

from gar_ros.engine.runtime.tensorrt.engine_profiles import EngineProfiles, Shape


class TwoProfiles:
    """Two caches and new tokens: many tokens with a past or none, or one or two tokens with a past."""

    num_optimization_profiles = 2
    BOUNDS: tuple[dict[str, list[Shape]], ...] = (
        {"key": [(0, 2), (8, 2)], "value": [(0, 2), (8, 2)], "new": [(1,), (4,)]},
        {"key": [(1, 2), (8, 2)], "value": [(1, 2), (8, 2)], "new": [(1,), (2,)]},
    )

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Shape]:
        smallest, largest = self.BOUNDS[profile_index][name]
        return [smallest, smallest, largest]


@pytest.fixture
def profiles() -> EngineProfiles:
    return EngineProfiles(TwoProfiles(), ["new", "key", "value"])


@pytest.mark.parametrize(
    ("key", "value", "new", "number"),
    [
        ((3, 2), (3, 2), (1,), 1),
        ((8, 2), (8, 2), (2,), 1),
        ((3, 2), (3, 2), (3,), 0),
        ((0, 2), (0, 2), (1,), 0),
        ((0, 2), (3, 2), (1,), 0),
        ((3, 2), (9, 2), (1,), None),
        ((3, 2), (3, 3), (1,), None),
        ((3, 2), (3, 2), (5,), None),
        ((3, 2), (3, 2), (1, 1), None),
    ],
)
def test_the_narrowest_profile_that_takes_all_inputs(
    profiles: EngineProfiles, key: Shape, value: Shape, new: Shape, number: int | None
) -> None:
    assert profiles.narrowest_for({"new": new, "key": key, "value": value}) == number


def test_of_equal_profiles_the_first_serves() -> None:
    class Equal(TwoProfiles):
        BOUNDS = (TwoProfiles.BOUNDS[1], TwoProfiles.BOUNDS[1])

    shapes: dict[str, Shape] = {"new": (1,), "key": (1, 2), "value": (1, 2)}
    assert EngineProfiles(Equal(), list(shapes)).narrowest_for(shapes) == 0


def test_what_no_profile_takes_is_named(profiles: EngineProfiles) -> None:
    told = profiles.misfit({"new": (1,), "key": (3, 2), "value": (9, 2)})
    assert told == "expected value of (0, 2) to (8, 2) or (1, 2) to (8, 2), got (9, 2)"


def test_shapes_that_no_profile_takes_together_are_all_named(profiles: EngineProfiles) -> None:
    told = profiles.misfit({"new": (3,), "key": (3, 2), "value": (0, 2)})
    assert [part.split(" ")[1] for part in told.split("; ")] == ["new", "key", "value"]
