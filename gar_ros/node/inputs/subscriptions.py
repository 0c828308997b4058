# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that fit whatever publishes: as reliable as all publishers are, newest message only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from gar_ros.node.endpoints import Endpoint
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.listener import Listener, ListenerGroup
from gar_ros.node.inputs.publisher_types import why_mistyped
from gar_ros.node.inputs.sequence import Gaps
from gar_ros.node.qos import SUBSCRIBED, given_reliability, refused_policies
from gar_ros.node.timers import every
from gar_ros.rclpy_compat import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks, TopicEndpointInfo

LOOK_PERIOD = 1.0
"""Seconds between looks at the publishers: their QoS and message types."""


class Subscriptions:
    """Subscribes on construction, unsubscribes when its lifetime ends. Callbacks of different topics run concurrently.

    reliability: "auto", "best_effort" or "reliable". on_incompatible: told the endpoint and the QoS policy in which
    one of its publishers doesn't match. on_types: told again and again what is wrong with the message types of the
    publishers, empty where nothing is; log and diagnostics hear it from here. Raises GarError INVALID_REQUEST for a QoS
    override that is no policy.
    """

    def __init__(
        self,
        node: GuardedNode,
        callbacks: Mapping[Endpoint, Callable[[Any], None]],
        reliability: str,
        on_incompatible: Callable[[Endpoint, str], None],
        lifetime: ExitStack,
        on_types: Callable[[Endpoint, str], None] = lambda endpoint, wrong: None,
    ) -> None:
        self._node, self._on_types, self._adapts = node, on_types, reliability == "auto"
        self._callbacks = callbacks
        self._on_incompatible = on_incompatible
        self._lock = threading.Lock()
        first = ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
        given = {endpoint: given_reliability(node, endpoint.name) for endpoint in callbacks}
        self._fixed = {endpoint for endpoint, policy in given.items() if policy is not None}
        self.gaps = {endpoint: Gaps() for endpoint in callbacks}
        """Of each topic, the messages that were lost on their way."""
        self._subscriptions: dict[Endpoint, Subscription] = {}
        self._listeners: dict[Endpoint, Listener] = {}
        lifetime.callback(self._unsubscribe)
        for endpoint, policy in given.items():
            self._subscribe(endpoint, policy or first)
        every(node, LOOK_PERIOD, self._look, lifetime)

    def _unsubscribe(self) -> None:
        with self._lock:
            for listener in self._listeners.values():
                listener.close()
            for subscription in self._subscriptions.values():
                self._node.destroy_subscription(subscription)
            self._listeners, self._subscriptions = {}, {}

    def _subscribe(self, endpoint: Endpoint, reliability: ReliabilityPolicy) -> None:
        newest_only = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=reliability)
        with refused_policies(endpoint.name):
            self._subscriptions[endpoint] = self._node.create_subscription(
                endpoint.type,
                endpoint.name,
                self._callbacks[endpoint],
                newest_only,
                callback_group=ListenerGroup(),
                qos_overriding_options=SUBSCRIBED,
                event_callbacks=SubscriptionEventCallbacks(incompatible_qos=partial(self._tell_incompatible, endpoint)),
            )
        self._listeners[endpoint] = Listener(self._node, self._subscriptions[endpoint], self.gaps[endpoint])

    def _tell_incompatible(self, endpoint: Endpoint, event: QoSRequestedIncompatibleQoSInfo) -> None:
        self._on_incompatible(endpoint, QoSPolicyKind(event.last_policy_kind).name.lower())

    def _look(self) -> None:
        with self._lock:
            for endpoint, subscription in self._subscriptions.items():
                topic = self._node.resolve_topic_name(endpoint.name)
                publishers = self._node.get_publishers_info_by_topic(topic)
                self._check_types(endpoint, topic, publishers)
                if self._adapts and endpoint not in self._fixed:
                    self._adapt(endpoint, subscription, publishers)

    def _check_types(self, endpoint: Endpoint, topic: str, publishers: list[TopicEndpointInfo]) -> None:
        own = self._node.get_subscriptions_info_by_topic(topic)
        wrong = why_mistyped(endpoint, topic, publishers, (one for one in own if self._is_own(one)))
        door = f"publishers of {topic}"
        if wrong:
            self._node.doors.refused(door, wrong)
        else:
            self._node.doors.worked(door)
        self._on_types(endpoint, wrong)

    def _is_own(self, info: TopicEndpointInfo) -> bool:
        return (info.node_name, info.node_namespace) == (self._node.get_name(), self._node.get_namespace())

    def _adapt(self, endpoint: Endpoint, subscription: Subscription, publishers: list[TopicEndpointInfo]) -> None:
        """Subscribes reliably where all publishers are reliable, else so that it matches all."""
        offered = {publisher.qos_profile.reliability for publisher in publishers}
        reliable = offered == {ReliabilityPolicy.RELIABLE}
        wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        if offered and wanted != subscription.qos_profile.reliability:
            listener = self._listeners[endpoint]
            self._subscribe(endpoint, wanted)
            listener.close()
            self._node.destroy_subscription(subscription)
