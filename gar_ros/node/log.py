# SPDX-License-Identifier: Apache-2.0
"""Hands the ROS-free modules' log to the node's, and keeps it short."""

from __future__ import annotations

import logging
import re
import time

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
        try:
            message = self.format(record).encode(errors="replace").decode()
        except Exception:  # noqa: BLE001 a line of the log must not cost what it is about
            self.handleError(record)
            return
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._logger.debug(message)


_FORGOTTEN_AFTER = 60.0
"""Seconds without a reason after which it is news again."""
_MOST_REASONS = 20
"""Different reasons that are told of one thing within that time."""


def kind_of(reason: str) -> str:
    """The same for reasons that differ in numbers and quoted words only."""
    return re.sub(r"'[^']*'|[\d.]+", "_", reason)


class Told:
    """Which kinds of reasons the log has told already."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, float]] = {}

    def is_news(self, name: str, reason: str) -> bool:
        """Whether to log this reason now; it then counts as told. name: of what it is about."""
        now = time.monotonic()
        lately = {one: at for one, at in self._told.get(name, {}).items() if now - at < _FORGOTTEN_AFTER}
        kind = kind_of(reason)
        is_news = kind not in lately and len(lately) < _MOST_REASONS
        if is_news or kind in lately:
            lately[kind] = now
        self._told[name] = lately
        return is_news
