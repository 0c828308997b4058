# SPDX-License-Identifier: Apache-2.0
"""QoS of a running node's topics, as its parameters override it."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from gar_ros.msg import TrackArray
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, wait_until

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def test_publishers_and_subscriptions_are_overridden(robot: Robot, gar: GarStarter) -> None:
    overrides = {
        "/gar/overlay.publisher.reliability": "best_effort",
        "/gar/tracks.publisher.durability": "volatile",
        "/image.subscription.reliability": "best_effort",
    }
    gar(**{f"qos_overrides.{name}": value for name, value in overrides.items()})
    with robot.publishing(labelled_scene):  # reliable publishers
        robot.client.wait_until_ready(PATIENCE)
        (overlay,) = robot.node.get_publishers_info_by_topic("/gar/overlay")
        (tracks,) = robot.node.get_publishers_info_by_topic("/gar/tracks")
        assert overlay.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT
        assert tracks.qos_profile.durability is DurabilityPolicy.VOLATILE
        Mailbox(robot, TrackArray, "/gar/tracks", QoSProfile(depth=1)).wait()

        def follows_the_publishers() -> bool:
            infos = robot.node.get_subscriptions_info_by_topic("/instances")  # two while one takes the other's place
            return [one.qos_profile.reliability for one in infos] == [ReliabilityPolicy.RELIABLE]

        wait_until(follows_the_publishers, lambda: "/instances is reliable")
        (image,) = robot.node.get_subscriptions_info_by_topic("/image")
        assert image.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT


def test_an_override_that_is_no_policy_fails_the_transition_with_its_reason(robot: Robot, gar: GarStarter) -> None:
    child = gar(**{"qos_overrides./gar/overlay.publisher.reliability": "certain"})
    child.wait_for_log(
        "qos_overrides of ~/overlay: Unexpected QoS override for policy `reliability`: `certain`", PATIENCE
    )
    robot.wait_for_state("unconfigured")
    child = gar(**{"qos_overrides./image.subscription.reliability": "maybe"})
    child.wait_for_log("expected reliable or best_effort, got 'maybe'", PATIENCE)


def test_a_configure_that_fails_leaves_a_process_that_can_be_ended(robot: Robot, gar: GarStarter) -> None:
    child = gar(**{"qos_overrides./gar/scene_graph.publisher.reliability": "certain"})
    child.wait_for_log("can't configure: qos_overrides of ~/scene_graph", PATIENCE)
    robot.wait_for_state("unconfigured")
    assert not robot.transition(Transition.TRANSITION_CONFIGURE)
    robot.wait_for_state("unconfigured")
    assert robot.node.count_publishers("/gar/answers") == 0
    assert child.interrupt(PATIENCE) == 0
    assert "Traceback" not in child.log


def test_an_activate_that_fails_leaves_no_subscription_behind(robot: Robot, gar: GarStarter) -> None:
    child = gar(**{"qos_overrides./depth.subscription.durability": "sometimes", "diagnostics.rate": 10.0})
    child.wait_for_log("can't activate: qos_overrides of depth", PATIENCE)
    robot.wait_for_state("inactive")
    for _ in range(3):
        assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    robot.wait_for_state("inactive")
    wait_until(lambda: robot.node.count_subscribers("/image") == 0, lambda: "/image has no subscriber")
    (status,) = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1)).wait().status
    assert {pair.key: pair.value for pair in status.values}["lifecycle state"] == "inactive"
    assert "can't activate: qos_overrides of depth" in status.message
    assert child.interrupt(PATIENCE) == 0
    assert "Traceback" not in child.log


def test_an_override_of_a_topic_or_policy_that_there_is_not_is_told_once(robot: Robot, gar: GarStarter) -> None:
    policy = "qos_overrides./gar/overlay.publisher"
    node = gar(**{f"{policy}.reliabilty": "best_effort"})
    told = (
        f"parameter '{policy}.reliabilty' does not exist and has no effect; the nearest name is '{policy}.reliability'"
    )
    node.wait_for_log(told, PATIENCE)
    robot.wait_for_state("active")
    assert robot.transition(Transition.TRANSITION_DEACTIVATE) and robot.transition(Transition.TRANSITION_ACTIVATE)
    assert node.log.count(told) == 1
