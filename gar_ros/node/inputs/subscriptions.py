# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that fit whatever publishes: as reliable as all publishers are, newest message only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from gar_ros.node.endpoints import Endpoint
from gar_ros.node.qos import SUBSCRIBED, given_reliability, refused_policies
from gar_ros.node.timers import every

ADAPT_PERIOD = 1.0
"""Seconds between looks at the QoS of the publishers."""


class Subscriptions:
    """Subscribes on construction, unsubscribes when its lifetime ends. Callbacks of different topics run concurrently.

    reliability: "auto", "best_effort" or "reliable". on_incompatible: told the endpoint and the QoS policy in which
    one of its publishers doesn't match. Raises GarError INVALID_REQUEST for a QoS override that is no policy.
    """

    def __init__(
        self,
        node: Node,
        callbacks: Mapping[Endpoint, Callable[[Any], None]],
        reliability: str,
        on_incompatible: Callable[[Endpoint, str], None],
        lifetime: ExitStack,
    ) -> None:
        self._node = node
        self._callbacks = callbacks
        self._on_incompatible = on_incompatible
        self._lock = threading.Lock()
        first = ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
        given = {endpoint: given_reliability(node, endpoint.name) for endpoint in callbacks}
        self._fixed = {endpoint for endpoint, policy in given.items() if policy is not None}
        self._subscriptions: dict[Endpoint, Subscription] = {}
        lifetime.callback(self._unsubscribe)
        for endpoint, policy in given.items():
            self._subscribe(endpoint, policy or first)
        if reliability == "auto":
            every(node, ADAPT_PERIOD, self._adapt, lifetime)

    def _unsubscribe(self) -> None:
        with self._lock:
            for subscription in self._subscriptions.values():
                self._node.destroy_subscription(subscription)
            self._subscriptions = {}

    def _subscribe(self, endpoint: Endpoint, reliability: ReliabilityPolicy) -> None:
        newest_only = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=reliability)
        with refused_policies(endpoint.name):
            self._subscriptions[endpoint] = self._node.create_subscription(
                endpoint.type,
                endpoint.name,
                self._callbacks[endpoint],
                newest_only,
                callback_group=MutuallyExclusiveCallbackGroup(),
                qos_overriding_options=SUBSCRIBED,
                event_callbacks=SubscriptionEventCallbacks(incompatible_qos=partial(self._tell_incompatible, endpoint)),
            )

    def _tell_incompatible(self, endpoint: Endpoint, event: QoSRequestedIncompatibleQoSInfo) -> None:
        self._on_incompatible(endpoint, QoSPolicyKind(event.last_policy_kind).name.lower())

    def _adapt(self) -> None:
        """Subscribes reliably where all publishers are reliable, else so that it matches all."""
        with self._lock:
            for endpoint, subscription in self._subscriptions.items():
                if endpoint in self._fixed:
                    continue
                publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(endpoint.name))
                offered = {publisher.qos_profile.reliability for publisher in publishers}
                reliable = offered == {ReliabilityPolicy.RELIABLE}
                wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
                if offered and wanted != subscription.qos_profile.reliability:
                    self._subscribe(endpoint, wanted)
                    self._node.destroy_subscription(subscription)
