# SPDX-License-Identifier: Apache-2.0
"""The executor of the node's process: enough threads for everything that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

from rclpy.executors import await_or_execute
from rclpy.node import Node
from rclpy.task import Task

from gar_ros.node.api.callers import REQUEST_NUMBER
from gar_ros.rclpy_compat import EventHandler, InvalidHandle, Run, TakingExecutor, thread_pool

_HOPELESS = 1000
"""Number of failures without a success between them that ends the process."""
_EVENTS_SECONDS = 0.5
"""Between two looks at the events of publishers and subscriptions, such as a QoS that doesn't match."""


class _WithoutEvents:
    """A node as rclpy's executor looks at it, for most of the time without its events.

    There are two to three for each topic, nothing of them is urgent, and each makes every wait longer.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next_events = 0.0
        self._with_events = True

    def look(self) -> bool:
        """Whether the next wait is for events too."""
        now = time.monotonic()
        self._with_events = now >= self._next_events
        if self._with_events:
            self._next_events = now + _EVENTS_SECONDS
        return self._with_events

    @property
    def waitables(self) -> Iterator[Any]:
        """As the node's."""
        return (one for one in self._node.waitables if self._with_events or not isinstance(one, EventHandler))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


class Executor(TakingExecutor):
    """A request that waits for the model holds a thread: enough of them for all services, all goals and all topics."""

    def __init__(self, queue_size: int, on_defect: Callable[[Exception], object], cameras: int = 1) -> None:
        """queue_size: requests, and as many goals, that may wait of each of the cameras. on_defect: told what goes
        wrong outside of callbacks, such as a message that can't be read or a reply that can't be sent."""
        self._on_defect = on_defect
        threads = cameras * (2 * queue_size + 8) + 16
        super().__init__(num_threads=threads)
        all_begun = threading.Barrier(threads)
        for _ in range(threads):  # else there is one more with each crowd of requests that is larger than all before
            thread_pool(self).submit(all_begun.wait)
        self._views: dict[Node, _WithoutEvents] = {}
        self._created_lock = threading.Lock()
        self._created: list[Task] = []
        self._ending = threading.Event()
        self._ended = threading.Event()
        self._ended.set()

    def create_task(self, callback: Any, *arguments: Any, **named: Any) -> Task:
        """As rclpy's: an action's goals and the replies with their results are such tasks."""
        with self._created_lock:
            task = super().create_task(callback, *arguments, **named)
            self._created = [other for other in self._created if not other.done()] + [task]
        return task

    @property
    def has_tasks(self) -> bool:
        """Whether a task that was created isn't done yet."""
        with self._created_lock:  # a task that creates another one is not done before that one is in the list
            return not all(task.done() for task in self._created)

    def _take_service(self, srv: Any) -> Run | None:
        """As rclpy's (7.1), and the callback knows whose the request is."""
        try:
            with srv.handle:
                request, header = srv.handle.service_take_request(srv.srv_type.Request)
        except InvalidHandle:
            return None

        async def reply() -> None:
            REQUEST_NUMBER.set(header.request_id.sequence_number)
            srv.send_response(await await_or_execute(srv.callback, request, srv.srv_type.Response()), header)

        return None if header is None else reply

    def _wait_for_ready_callbacks(
        self,
        timeout_sec: Any = None,
        nodes: Any = None,
        condition: Callable[[], bool] = lambda: False,
    ) -> Generator[Any, None, None]:
        """As rclpy's (7.1), with less to wait for."""
        if nodes is None:
            present = self.get_nodes()
            self._views = {node: self._views.get(node) or _WithoutEvents(node) for node in present}
            nodes = list(self._views.values())
            with_events = [view.look() for view in nodes]
            if timeout_sec is None:
                # Who waits for the events of a subscription keeps the thread of its listener from waking.
                timeout_sec = 0.0 if any(with_events) else _EVENTS_SECONDS
        return super()._wait_for_ready_callbacks(timeout_sec, nodes, condition)

    def read(self, take: Callable[[Any], Run | None], entity: Any) -> Run | None:
        """What the executor is to do for an entity that is ready; nothing where that can't be read.

        rclpy (7.1) would never look at the entity again, nor at others of its callback group.
        """
        try:
            return super().read(take, entity)
        except Exception as error:  # noqa: BLE001 of one message
            self._on_defect(error)
            return None

    def spin(self) -> None:
        """Executes callbacks until `shutdown`. Raises what goes wrong again and again, so that nothing works."""
        self._ended.clear()
        failures = 0
        try:
            while self.context.ok() and not self._ending.is_set():
                try:
                    self.spin_once()
                    failures = 0
                except Exception as error:
                    failures += 1
                    if failures == _HOPELESS:
                        raise
                    self._on_defect(error)
        finally:
            self._ended.set()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """A subscription that another thread destroys while rclpy (7.1) builds its wait set is no reason to end."""
        with suppress(InvalidHandle):
            super().spin_once(timeout_sec)

    def shutdown(self, timeout_sec: float | None = None, *, wait_for_threads: bool = True) -> bool:
        """Returns when `spin` has returned and all replies are sent, for which rclpy's own (7.1) doesn't wait.

        It would also destroy what callbacks and wait set still use. wait_for_threads: as if always True.
        """
        self._ending.set()
        self.create_task(lambda: None)  # wakes `spin`
        self._ended.wait()
        thread_pool(self).shutdown(wait=True)
        return bool(super().shutdown(timeout_sec))
