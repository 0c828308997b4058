# SPDX-License-Identifier: Apache-2.0
"""The table of what the probabilities of a scene graph are worth."""

from __future__ import annotations

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.sim.contact import NO, YES
from gar_ros.sim.render import TabletopRenderer
from tools.graph_table import Scored, scored, table


def test_a_row_says_what_is_right_of_the_listed_and_found_of_the_true() -> None:
    inside = [Scored("inside", 0.95, YES), Scored("inside", 0.6, YES), Scored("inside", 0.8, NO)]
    rows = table([*inside, Scored("inside", 0.1, NO), Scored("touching", 0.2, YES)]).splitlines()
    assert "| inside | 4 | 2 | 67 %, 100 % | 50 %, 50 % | 100 %, 50 % |" in rows
    assert "| touching | 1 | 1 |  |  |  |" in rows


def test_every_pair_is_asked_once_for_each_relation() -> None:
    with TabletopRenderer(640, 480) as renderer:
        asked = list(scored(GarEngine.open(default_model_dir(), provider="cpu"), renderer, 2_000_000))
    left = [one for one in asked if one.predicate == "to the left of"]
    assert len(left) % 2 == 0
    assert sum(one.holds == YES for one in left) == len(left) / 2 > 0
    assert {one.predicate for one in asked} > {"inside", "touching"}
