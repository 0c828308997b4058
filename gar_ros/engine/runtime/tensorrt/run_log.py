# SPDX-License-Identifier: Apache-2.0
"""What TensorRT says while engines are loaded and run, handed to Python's loggers, and so to the node's log."""

from __future__ import annotations

import logging
import re
from typing import Any

_MOST_WARNINGS = 50
"""Different warnings that are told: TensorRT repeats some of them with each run."""

_log = logging.getLogger(__name__)


def make_run_log(trt: Any) -> Any:
    """A TensorRT logger: errors are logged as such, each warning once, and the rest for those who debug.

    Its `take_error()` returns the last error since it was called before, in one line; empty where there was none. trt:
    the module.
    """
    levels = trt.ILogger

    class RunLog(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._warned: set[str] = set()
            self._error = ""

        def log(self, severity: Any, msg: str) -> None:
            text = " ".join(str(msg).split())
            if severity in (levels.INTERNAL_ERROR, levels.ERROR):
                self._error = text
                _log.error("TensorRT: %s", text)
            elif severity == levels.WARNING and self._is_news(text):
                _log.warning("TensorRT: %s", text)
            elif severity != levels.VERBOSE:
                _log.debug("TensorRT: %s", text)

        def _is_news(self, text: str) -> bool:
            kind = re.sub(r"\d+", "_", text)
            if kind in self._warned or len(self._warned) == _MOST_WARNINGS:
                return False
            self._warned.add(kind)
            return True

        def take_error(self) -> str:
            error, self._error = self._error, ""
            return error

    return RunLog()
