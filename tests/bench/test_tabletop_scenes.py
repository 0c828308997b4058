# SPDX-License-Identifier: Apache-2.0
"""Which pictures and regions `gar bench tabletop` asks about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gar_ros.bench import tabletop_scenes
from gar_ros.bench.tabletop_scenes import CAPTION_FORM, Asked, RegionChange, Setting, asked_about
from gar_ros.errors import GarError
from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.render import TabletopRenderer

SEED = 2_000_000


@pytest.fixture(scope="module")
def renderer() -> Iterator[TabletopRenderer]:
    with TabletopRenderer(320, 240) as renderer:
        yield renderer


def asked(renderer: TabletopRenderer, **changes: object) -> list[Asked]:
    return list(asked_about(renderer, SEED, Setting((320, 240), **changes)))  # type: ignore[arg-type]


def test_one_two_and_three_regions_are_asked_about(renderer: TabletopRenderer) -> None:
    found = asked(renderer)
    assert [len(one.regions) for one in found] == [1, 2, 3]
    assert all(len(one.questions) >= 4 for one in found)
    assert [question.kind for question in found[0].questions].count(CAPTION_FORM) == 1


def test_a_seed_always_gives_the_same(renderer: TabletopRenderer) -> None:
    first, second = asked(renderer), asked(renderer)
    assert [one.questions for one in first] == [one.questions for one in second]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_phrases_are_asked_beside_the_other_questions(
    renderer: TabletopRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asked(renderer)
    monkeypatch.setattr(tabletop_scenes, "PHRASES", 0)
    others = [one.questions for one in asked(renderer)]
    assert [tuple(q for q in one.questions if q.kind not in PHRASE_KINDS) for one in whole] == others
    assert all(sum(q.kind in PHRASE_KINDS for q in one.questions) >= 3 for one in whole)


@pytest.mark.parametrize("how", ["box", "eroded:2", "dilated:2", "shifted:3"])
def test_changed_regions_are_asked_the_same_questions(renderer: TabletopRenderer, how: str) -> None:
    true, changed = asked(renderer)[0], asked(renderer, regions=RegionChange.parse(how))[0]
    before, after = true.regions[0].mask, changed.regions[0].mask
    assert not np.array_equal(before, after)
    assert (before & after).sum() > 0.5 * min(before.sum(), after.sum())
    if how.startswith(("box", "dilated")):
        assert (before & ~after).sum() == 0
    if how.startswith("eroded"):
        assert (after & ~before).sum() == 0


def test_a_mask_too_small_to_be_eroded_stays() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    eroded = RegionChange.parse("eroded:3").apply(mask, np.random.default_rng(0))
    np.testing.assert_array_equal(eroded, mask)


def test_pictures_can_be_compressed_and_tables_of_any_colour(renderer: TabletopRenderer) -> None:
    plain, compressed, other = (asked(renderer, **part)[0] for part in ({}, {"jpeg": 30}, {"any_table": True}))
    difference = np.abs(plain.image.astype(int) - compressed.image)
    assert 0 < difference.mean() < 12
    assert np.abs(plain.image.astype(int) - other.image).mean() > 3


@pytest.mark.parametrize("text", ["mask:2", "box:1", "eroded", "eroded:0", "eroded:-1", "shifted:x", "round"])
def test_what_is_no_change_of_regions_is_refused(text: str) -> None:
    with pytest.raises(GarError, match=f"expected regions as mask, box, .*, got '{text}'"):
        RegionChange.parse(text)
