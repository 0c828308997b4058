# SPDX-License-Identifier: Apache-2.0
"""Hands the ROS-free modules' log to the node's."""

from __future__ import annotations

import logging

from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger


class RosLogHandler(logging.Handler):
    """Hands records of Python loggers to a ROS logger, whose level (`--log-level gar:=debug`) decides what is shown."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """One call for each level: rclpy ties a line of code to its level."""
        if record.levelno < logging.INFO and not self._logger.is_enabled_for(LoggingSeverity.DEBUG):
            return  # nothing is formatted that nobody sees
        message = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._logger.debug(message)
