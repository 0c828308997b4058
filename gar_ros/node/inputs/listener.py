# SPDX-License-Identifier: Apache-2.0
"""A thread for one subscription, so that a camera costs its own messages and nothing else.

rclpy's executor (7.1) builds its wait set anew from all entities of the node, and does so three times for each message.
With 30 images a second, their label images and their camera that took half a core.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.subscription import Subscription

from gar_ros.node.guard import GuardedNode, subscription_door
from gar_ros.node.inputs.sequence import Gaps
from gar_ros.rclpy_compat import EventHandler, InvalidHandle, wait_set

_PAUSE = 0.1
"""Seconds until a thread tries again that could not wait for a message."""


class ListenerGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of a subscription that has a listener: the executor runs its events, but not its messages."""

    def can_execute(self, entity: Any) -> bool:
        """As rclpy's."""
        return isinstance(entity, EventHandler) and bool(super().can_execute(entity))


class Listener:
    """Calls the callback of a subscription with each of its messages, one after another, until it is closed."""

    def __init__(self, node: GuardedNode, subscription: Subscription, gaps: Gaps | None = None) -> None:
        """subscription: its callback group is a ListenerGroup. gaps: counts the messages that were lost on their way;
        None: nobody does."""
        self._node, self._subscription, self._gaps = node, subscription, gaps
        self._door = subscription_door(subscription.topic_name)
        self._closing = threading.Event()
        self._wake = GuardCondition(None, None, context=node.context)
        self._thread = threading.Thread(target=self._run, name=f"listener {subscription.topic_name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the callback has returned and will not be called again."""
        self._closing.set()
        with suppress(InvalidHandle):
            self._wake.trigger()
        self._thread.join()
        self._wake.destroy()

    def _run(self) -> None:
        while not self._closing.is_set() and self._node.context.ok():
            try:
                self._listen()
            except InvalidHandle:  # the subscription or ROS has ended
                return
            except BaseException as error:  # noqa: BLE001 whatever it is, the next message is another one
                self._node.doors.failed(self._door, error)
                self._closing.wait(_PAUSE)

    def _listen(self) -> None:
        """Until it is closed. Raises what goes wrong outside of the callback, such as a message that can't be read."""
        subscription, wake = self._subscription.handle, self._wake.handle
        context: Any = self._node.context.handle
        with ExitStack() as used:
            for handle in (subscription, wake, context):
                used.enter_context(handle)
            entities = wait_set(1, 1, context)
            while not self._closing.is_set():
                entities.clear_entities()
                entities.add_subscription(subscription)
                entities.add_guard_condition(wake)
                entities.wait(-1)
                if not self._closing.is_set():
                    self._take()

    def _take(self) -> None:
        taken = self._subscription.handle.take_message(self._subscription.msg_type, False)
        if taken is None:
            return
        message, info = taken
        if self._gaps is not None:
            self._gaps.saw(info.get("publication_sequence_number"))
        callback: Any = self._subscription.callback
        callback(message)
