# SPDX-License-Identifier: Apache-2.0
"""Which pairs are asked about, and in which prompts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gar_ros.memory.scene_graph import nearest_pairs, shared_prompts


def test_the_nearest_pairs_come_first_in_both_orders() -> None:
    boxes = {"a": (0, 0, 2, 2), "b": (10, 0, 12, 2), "c": (13, 0, 15, 2)}
    pairs = [("b", "c"), ("c", "b"), ("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")]
    assert nearest_pairs(boxes, 100) == pairs
    assert nearest_pairs(boxes, 3) == pairs[:3]
    assert nearest_pairs({"a": (0, 0, 2, 2)}, 10) == []


@pytest.mark.parametrize(("regions", "max_regions"), [(2, 5), (5, 5), (9, 5), (12, 3), (7, 2)])
def test_every_pair_is_asked_in_exactly_one_prompt(regions: int, max_regions: int) -> None:
    rng = np.random.default_rng(0)
    boxes = {
        str(n): (int(x), int(y), int(x) + 5, int(y) + 5) for n, (x, y) in enumerate(rng.integers(0, 99, (regions, 2)))
    }
    pairs = nearest_pairs(boxes, 10**6)
    groups = shared_prompts(pairs, max_regions)
    asked = [pair for group in groups for pair in group.pairs]
    assert sorted(asked) == sorted(itertools.permutations(boxes, 2))
    for group in groups:
        assert len(set(group.region_ids)) == len(group.region_ids) <= max_regions
        assert all(set(pair) <= set(group.region_ids) for pair in group.pairs)


def test_regions_that_fit_into_one_prompt_need_one() -> None:
    boxes = {name: (n, 0, n + 1, 1) for n, name in enumerate("abcde")}
    assert len(shared_prompts(nearest_pairs(boxes, 100), 5)) == 1
    assert len(shared_prompts([("a", "b"), ("b", "a"), ("c", "d")], 5)) == 2, "regions without a pair stay out"


def test_twelve_regions_need_few_prompts() -> None:
    """66 pairs, 10 to a prompt of 5: 7 at least; greedy may need a few more."""
    boxes = {str(n): (7 * n % 40, n, 7 * n % 40 + 5, n + 5) for n in range(12)}
    assert len(shared_prompts(nearest_pairs(boxes, 1000), 5)) <= 14
