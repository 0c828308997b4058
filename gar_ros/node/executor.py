"""The executor of the node's process: enough threads for everything that waits."""

from __future__ import annotations

from contextlib import suppress

from rclpy.executors import MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation


class Executor(MultiThreadedExecutor):
    """A request that waits for the model holds a thread: enough of them for the whole queue and all topics."""

    def __init__(self, queue_size: int) -> None:
        super().__init__(num_threads=queue_size + 16)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """A subscription that another thread destroys while rclpy (7.1) builds its wait set is no reason to end."""
        with suppress(rclpy_implementation.InvalidHandle):
            super().spin_once(timeout_sec)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Returns when all replies are sent; rclpy's own (7.1) doesn't wait for them."""
        finished = bool(super().shutdown(timeout_sec))
        self._executor.shutdown(wait=True)
        return finished
