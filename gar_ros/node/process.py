"""What the node's process needs around it: enough threads, and the ROS-free modules' log."""

from __future__ import annotations

import logging
from contextlib import suppress

from rclpy.executors import MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.rcutils_logger import RcutilsLogger


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


class ToRos(logging.Handler):
    """Hands the ROS-free modules' log to the node's."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """One call for each level: rclpy ties a line of code to its level."""
        message = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._logger.debug(message)
