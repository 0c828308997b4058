# SPDX-License-Identifier: Apache-2.0
"""Clear everything off the table: the order in which to pick things up, from what the gar node sees.

With a robot's camera, detector and gar node running: `python examples/clear_table.py`. Beside the simulated tabletop,
`--seed` (that of the camera) also checks the order against the simulator: nothing may lie on or in what is picked.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations

import rclpy
from rclpy.utilities import remove_ros_args

from gar_ros.client import RegionClient
from gar_ros.demo.judge import object_index
from gar_ros.errors import GarError
from gar_ros.messages.headers import stamp_ns
from gar_ros.msg import SceneGraph
from gar_ros.planning import HOLDS_DOWN, pddl_facts, pick_order
from gar_ros.sim.contact import YES, rests_in, rests_on
from gar_ros.sim.timeline import Timeline

PROBABLE = 0.2
"""Least probability of a relation that the order respects. To pick a thing later than necessary costs nothing, too soon
lets something fall: so relations that are less probable than not count as well."""


def main() -> int:
    """Prints the order; 0 when it could be made and, with --seed, is right."""
    options = _parse()
    rclpy.init()
    node = rclpy.create_node("clear_table")
    try:
        client = RegionClient(node, options.gar)
        image = client.wait_until_ready(options.wait).header
        graph = client.scene_graph(
            predicates=HOLDS_DOWN, threshold=PROBABLE, max_pairs=1000, stamp=image.stamp, timeout=options.timeout
        )
    except GarError as error:
        print(f"{error.code.name}: {error.message}", flush=True)
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if not graph.complete:
        print(f"{graph.skipped} relations were not asked in time: the order may be wrong")
    print(pddl_facts(graph.region_ids, graph.relations))
    order = pick_order(graph.region_ids, graph.relations)
    for number, region in enumerate(order, 1):
        print(f"{number}. pick region {region}")
    wrong = [] if options.seed is None else held_down(graph, order, options.seed, options.carry)
    for one, other in wrong:
        print(f"wrong: region {one} still lies on or in region {other} when that is picked")
    if options.seed is not None and not wrong:
        print(f"the simulator agrees: nothing lies on or in any of the {len(order)} regions when it is picked")
    return 1 if wrong else 0


def held_down(graph: SceneGraph, order: list[str], seed: int, carry: bool) -> list[tuple[str, str]]:
    """Pairs (lies on or in, picked too early) of the simulated scene at the graph's stamp."""
    objects = Timeline(seed, carry).at(stamp_ns(graph.header.stamp)).objects
    seen = {region: objects[object_index(region)] for region in order}
    return [
        (later, sooner)
        for sooner, later in combinations(order, 2)
        if YES in (rests_on(seen[later], seen[sooner]), rests_in(seen[later], seen[sooner]))
    ]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gar", default="gar", help="name of the gar node")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds within which it must serve")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for the scene graph")
    parser.add_argument("--seed", type=int, help="of the simulated tabletop, to check the order")
    parser.add_argument("--carry", action="store_true", help="the tabletop has an object that is carried about")
    return parser.parse_args(remove_ros_args(sys.argv)[1:])


if __name__ == "__main__":
    sys.exit(main())
