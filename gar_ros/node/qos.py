# SPDX-License-Identifier: Apache-2.0
"""QoS as ROS users override it: parameters qos_overrides.<topic>.<publisher or subscription>.<policy>, set at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.endpoints import Endpoint

PUBLISHED = QoSOverridingOptions(
    (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
)
SUBSCRIBED = QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY))
"""Reliability follows the publishers: see `given_reliability`."""

REQUESTS = QoSProfile(depth=1000)
"""Of services and the action: the requests that may come, and the replies that may leave, before one is taken.

ROS's own depth of 10 drops the others of a burst, whatever the queue takes, and nobody hears of it.
"""


def publisher(node: Node, endpoint: Endpoint, lifetime: ExitStack, latched: bool = False) -> Publisher:
    """A publisher until `lifetime` ends, of the newest message only unless overridden.

    latched: late subscribers get it too. Raises GarError INVALID_REQUEST for an override that is no policy.
    """
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    profile = QoSProfile(depth=1, durability=durability)
    with refused_policies(endpoint.name):
        made = node.create_publisher(endpoint.type, endpoint.name, profile, qos_overriding_options=PUBLISHED)
        lifetime.callback(node.destroy_publisher, made)
        return made


@contextmanager
def refused_policies(topic: str) -> Iterator[None]:
    """Turns rclpy's error for an override that is no policy into GarError INVALID_REQUEST."""
    try:
        yield
    except (RuntimeError, ParameterException) as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"qos_overrides of {topic}: {error}") from error


def given_reliability(node: Node, topic: str) -> ReliabilityPolicy | None:
    """What the override of a subscription says, None without one. Raises GarError INVALID_REQUEST."""
    name = f"qos_overrides.{node.resolve_topic_name(topic)}.subscription.reliability"
    if not node.has_parameter(name):
        # Text, not an unset parameter: `ros2 param dump` would write null, which no params file may hold.
        meaning = "reliable or best_effort; empty: the parameter `input.reliability` decides"
        descriptor = ParameterDescriptor(description=meaning, read_only=True)
        with refused_policies(topic):
            node.declare_parameter(name, "", descriptor)
    value = str(node.get_parameter(name).value)
    if not value:
        return None
    choices = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}
    if value not in choices:
        raise GarError(ErrorCode.INVALID_REQUEST, f"{name}: expected reliable or best_effort, got '{value}'")
    return choices[value]
