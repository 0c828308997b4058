# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy against the topics, services and actions of running nodes."""

from __future__ import annotations

from functools import partial

from rclpy.action.graph import get_action_server_names_and_types_by_node
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node

from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, wait_until
from tests.tools.test_security_policy import rules
from tools.security_policy import WHERE_INSTALLED, policy

CONFIGURATIONS: tuple[dict[str, object], ...] = (
    {},
    {"depth.source": "points", "input.image_transport": "compressed", "use_sim_time": True},
    {"depth.image_transport": "compressedDepth"},
)
"""Parameters of nodes that together have every topic."""
LAST: tuple[set[str], ...] = ({"/camera_info", "/depth"}, {"/clock", "/points"}, {"/depth/compressedDepth"})
"""Topics that each of them has, and that are heard of last."""


def used(looker: Node) -> dict[tuple[str, str], set[str]]:
    """(kind, way) -> names that the node /gar has; an action's parts count as the action."""
    actions = {name for name, _ in get_action_server_names_and_types_by_node(looker, "gar", "/")}

    def names(pairs: list[tuple[str, list[str]]]) -> set[str]:
        return {name for name, _ in pairs if "/_action/" not in name}

    return {
        ("topics", "publish"): names(looker.get_publisher_names_and_types_by_node("gar", "/")),
        ("topics", "subscribe"): names(looker.get_subscriber_names_and_types_by_node("gar", "/")),
        ("services", "reply"): names(looker.get_service_names_and_types_by_node("gar", "/")),
        ("services", "request"): names(looker.get_client_names_and_types_by_node("gar", "/")),
        ("actions", "execute"): actions,
    }


def has_topics(looker: Node, topics: set[str]) -> bool:
    """Whether the node is known to subscribe to these."""
    return topics <= used(looker)["topics", "subscribe"]


def test_the_policy_allows_what_nodes_have_and_nothing_else(gar: GarStarter, ros_node: Node) -> None:
    rules_of_gar = rules(policy(), "/gar")
    allowed = {way: {expand_topic_name(name, "gar", "/") for name in names} for way, names in rules_of_gar.items()}
    total: dict[tuple[str, str], set[str]] = {}
    for index, parameters in enumerate(CONFIGURATIONS):
        node = gar(**parameters)
        node.wait_for_log("activate: done", PATIENCE)
        wait_until(lambda: "gar" in ros_node.get_node_names(), lambda: str(ros_node.get_node_names()))
        # What belongs to the node is heard of bit by bit: until all but the optional has been seen once.
        wait_until(partial(has_topics, ros_node, LAST[index]), lambda: str(used(ros_node)))
        wait_until(lambda: bool(used(ros_node)["actions", "execute"]), lambda: str(used(ros_node)))
        for way, names in used(ros_node).items():
            assert names <= allowed.get(way, set()), way
            total.setdefault(way, set()).update(names)
        assert node.interrupt(timeout=60) == 0
        wait_until(lambda: "gar" not in ros_node.get_node_names(), lambda: str(ros_node.get_node_names()))
    optional = {expand_topic_name(name, "gar", "/") for name in WHERE_INSTALLED}
    assert {way: names - total[way] - optional for way, names in allowed.items()} == {way: set() for way in allowed}
