# SPDX-License-Identifier: Apache-2.0
"""How a call waits for what its node receives: whoever spins the node, in any thread, and never for itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, ref

from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from gar_ros.errors import ErrorCode, GarError
from gar_ros.rclpy_compat import executes_in_this_thread, forget_done_callback, thread_pool

LOOK_SECONDS = 0.05
"""Time between two looks at who spins the node."""

_LOOP_SECONDS = 1.0
"""How long an executor that an asyncio loop may spin gets to prove that another thread spins it."""


class Waiting:
    """The waits of one node's calls, from any number of threads.

    An executor that has the node is relied on. Otherwise one of the threads that wait spins the node for all of them.
    """

    def __init__(self, node: Node) -> None:
        self._ref = ref(node)
        self._turn = threading.Condition()
        self._spinning = False
        self._own: SingleThreadedExecutor | None = None

    @property
    def _node(self) -> Node:
        node = self._ref()
        if node is None:  # its clients keep it
            raise RuntimeError("the node of this client is gone")
        return node

    @contextmanager
    def call(self) -> Iterator[None]:
        """What a call does meanwhile. Raises RuntimeError where it would wait for itself."""
        if (executor := executor_of(self._node)) is None or not executes_in_this_thread(executor):
            yield
            return
        if not isinstance(executor, MultiThreadedExecutor):
            raise RuntimeError(_WITHIN.format("the node's executor has no other thread to take the reply"))
        threads = thread_pool(executor)._max_workers
        with _callbacks_lock:
            _callbacks_that_wait[executor] = _callbacks_that_wait.get(executor, 0) + 1
        try:
            if _callbacks_that_wait[executor] >= threads:
                raise RuntimeError(_WITHIN.format(f"all threads of the node's executor ({threads}) wait in callbacks"))
            yield
        finally:
            with _callbacks_lock:
                _callbacks_that_wait[executor] -= 1

    def until_done(self, future: Future, deadline: float, look: float = LOOK_SECONDS) -> bool:
        """Waits until the future is done, at most `look` seconds and until `deadline`, monotonic seconds.

        Returns whether it is done. Raises GarError CANCELLED when ROS is shut down meanwhile.
        """
        end = min(deadline, time.monotonic() + look)
        while not future.done() and (left := end - time.monotonic()) > 0:
            if not self._node.context.ok():
                raise GarError(ErrorCode.CANCELLED, "ROS was shut down while the call waited")
            executor = executor_of(self._node)
            if executor is None or executor is self._own:
                self._take_turns(future, left)
            else:
                _wait(future, min(left, LOOK_SECONDS))
        return bool(future.done())

    def prove_spun(self) -> Future | None:
        """Done as soon as the node's executor runs something; None where calls spin the node themselves."""
        executor = executor_of(self._node)
        return None if executor is None or executor is self._own else executor.create_task(lambda: None)

    def _take_turns(self, future: Future, seconds: float) -> None:
        """Spins the node, or waits while another thread does, until the future may be done or `seconds` have passed."""
        with self._turn:
            if self._spinning:
                self._turn.wait(min(seconds, LOOK_SECONDS))
                return
            self._spinning = True
        try:
            self._spin(future, seconds)
        finally:
            with self._turn:
                self._spinning = False
                self._turn.notify_all()

    def _spin(self, future: Future, seconds: float) -> None:
        end = time.monotonic() + seconds
        if self._own is None:
            self._own = SingleThreadedExecutor(context=self._node.context)
        self._own.add_node(self._node)
        try:
            while not future.done() and (left := end - time.monotonic()) > 0 and executor_of(self._node) is self._own:
                self._own.spin_once(timeout_sec=left)
                with self._turn:
                    self._turn.notify_all()
        except ExternalShutdownException:
            raise GarError(ErrorCode.CANCELLED, "ROS was shut down while the call waited") from None
        finally:
            leave(self._node, self._own)


def waiting_of(node: Node) -> Waiting:
    """All clients of a node share how they wait: two may not spin it at once."""
    with _callbacks_lock:
        if node not in _waiting:
            _waiting[node] = Waiting(node)
        return _waiting[node]


def executor_of(node: Node) -> Executor | None:
    """The executor that has the node, None when there is none; rclpy leaves `node.executor` set when it is over."""
    executor = node.executor
    return executor if executor is not None and node in executor.get_nodes() else None


def leave(node: Node, executor: Executor) -> None:
    """Takes the node out of the executor, also for those who ask the node."""
    executor.remove_node(node)
    if node.executor is executor:
        node.executor = None  # type: ignore[assignment]  # rclpy takes None, its types don't say so


def refuse_blocked_loop(waiting: Waiting) -> None:
    """Raises RuntimeError in an asyncio loop that seems to spin the node's executor, which a call would block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    proof = waiting.prove_spun()
    if proof is not None and not waiting.until_done(proof, time.monotonic() + _LOOP_SECONDS, _LOOP_SECONDS):
        raise RuntimeError(
            f"RegionClient was called in an asyncio loop, and nothing has spun the node for {_LOOP_SECONDS:g} s: such "
            "a call blocks the loop; use gar_ros.client_asyncio.AsyncRegionClient"
        )


_WITHIN = (
    "RegionClient was called in a callback that must end before the reply can arrive: {}. Call it from a thread of "
    "your own, spin the node with a MultiThreadedExecutor of more threads, or give the client a node of its own"
)
_callbacks_lock = threading.Lock()
_callbacks_that_wait: WeakKeyDictionary[Executor, int] = WeakKeyDictionary()
_waiting: WeakKeyDictionary[Node, Waiting] = WeakKeyDictionary()


def _wait(future: Future, seconds: float) -> None:
    """Waits until the future is done, at most `seconds`."""
    done = threading.Event()

    def tell(_: Future) -> None:
        done.set()

    future.add_done_callback(tell)
    done.wait(seconds)
    forget_done_callback(future, tell)
