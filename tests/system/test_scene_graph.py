# SPDX-License-Identifier: Apache-2.0
"""The scene graph of a running node, over DDS, with a real (random) model."""

from __future__ import annotations

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile

from gar_ros.errors import ErrorCode
from gar_ros.msg import SceneGraph
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, refusal

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_a_planner_gets_typed_relations(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        graph = robot.client.scene_graph(["7", "1"], ["to the left of", "inside"], threshold=0.001)
        assert (list(graph.region_ids), graph.asked, graph.complete) == (["7", "1"], 4, True)
        triples = [(one.subject, one.predicate, one.object) for one in graph.relations]
        assert triples == sorted(triples)
        assert set(triples) <= {(a, p, b) for a, b in ("17", "71") for p in ("to the left of", "inside")}
        for one in graph.relations:
            answer = robot.client.query(
                f"Is <Prompt{'71'.index(one.subject)}> {one.predicate} <Prompt{'71'.index(one.object)}>?",
                ["7", "1"],
                choices=["yes", "no"],
                stamp=graph.header.stamp,
            )
            assert one.probability == pytest.approx(answer.probabilities[0], abs=1e-5)
        code, message = refusal(lambda: robot.client.scene_graph(["1", "99"]))
        assert code is ErrorCode.UNKNOWN_REGION and "99" in message


def test_the_topic_is_latched_and_made_only_for_subscribers(robot: Robot, gar: GarStarter) -> None:
    gar(**{"graph.rate": 10.0, "graph.predicates": ["touching"]})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        graphs = Mailbox(robot, SceneGraph, "/gar/scene_graph", LATCHED)
        first = graphs.wait()
        assert (list(first.predicates), first.asked) == (["touching"], 2)
    late = Mailbox(robot, SceneGraph, "/gar/scene_graph", LATCHED)
    assert late.wait().asked == 2
