"""QoS of a running node's topics, as its parameters override it."""

from __future__ import annotations

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
            (instances,) = robot.node.get_subscriptions_info_by_topic("/instances")
            return instances.qos_profile.reliability is ReliabilityPolicy.RELIABLE

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
