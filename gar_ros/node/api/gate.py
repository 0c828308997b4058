# SPDX-License-Identifier: Apache-2.0
"""The gate to the server: whether requests are served, and what their callers hear when they are not."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rclpy.impl.rcutils_logger import RcutilsLogger

from gar_ros.errors import LEAVING, ErrorCode, GarError, reason_of
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.tracks import Track, TrackState
from gar_ros.serving.find import Finder
from gar_ros.serving.scene_graph import Grapher
from gar_ros.serving.server import Server
from gar_ros.serving.statistics import RequestStatistics

_NAMESAKES_CODES = {
    ErrorCode.NOT_ACTIVE,
    ErrorCode.NO_FRAME,
    ErrorCode.UNKNOWN_REGION,
    ErrorCode.UNKNOWN_DIALOGUE,
}
"""What a second node of the same name may know or be."""


@dataclass(frozen=True)
class Served:
    """What requests are answered from while the node is active."""

    server: Server
    grapher: Grapher
    finder: Finder
    tracks: Callable[[], list[tuple[Track, TrackState]]]
    """The regions that are remembered."""
    on_answer: Callable[[AnswerRecord], None]
    """Told every answer given."""


class Gate:
    """Every request of services and action passes here and gets exactly one reply; while it is closed, a refusal."""

    def __init__(
        self,
        statistics: RequestStatistics,
        trouble: Callable[[], str],
        logger: RcutilsLogger,
        namesakes: Callable[[], str] = str,
    ) -> None:
        """statistics: told every reply. trouble: what is wrong with the input topics, empty when nothing is. namesakes:
        who else has this node's name and so might know what this one doesn't; empty when nobody does."""
        self._statistics, self._trouble, self._logger = statistics, trouble, logger
        self._namesakes = namesakes
        self._served: Served | None = None
        self._refusal = not_active("it was not configured yet")

    def open(self, served: Served, lifetime: ExitStack) -> None:
        """Serves until `lifetime` ends or `close` is called."""
        lifetime.callback(self.close, not_active("it was deactivated or shut down"))
        self._served = served

    def close(self, refusal: GarError) -> None:
        """Answers every request with `refusal` from now on."""
        self._served = None
        self._refusal = refusal

    def reply(self, fill: Callable[[Served, Any], None], response: Any, counted: bool = True) -> GarError | None:
        """Fills the response; what goes wrong becomes its error_code and error_msg, and is returned.

        counted: the reply is one of the statistics'.
        """
        arrival, error = time.monotonic(), None
        try:
            fill(self._enter(), response)
        except GarError as raised:
            error = self._explained(raised)
        except LEAVING:
            raise
        except BaseException as raised:  # noqa: BLE001 a planner must hear of a defect, not wait for its timeout
            self._logger.error(traceback.format_exc())
            error = GarError(ErrorCode.INTERNAL_ERROR, f"{reason_of(raised)}; see the node's log")
        if error is not None:
            response.error_code, response.error_msg = int(error.code), error.message
        if counted:
            self._statistics.add(ErrorCode(response.error_code), time.monotonic() - arrival)
        return error

    def _enter(self) -> Served:
        served = self._served
        if served is None:
            # A new one: an exception that is raised again and again keeps the frames of every time.
            raise GarError(self._refusal.code, self._refusal.message)
        return served

    def _explained(self, error: GarError) -> GarError:
        """The error, with what is wrong with the input topics or with this node's name where that may be the cause."""
        causes = [error.message]
        if error.code in (ErrorCode.NO_FRAME, ErrorCode.STALE_FRAME):
            causes.append(self._trouble())
        if error.code in _NAMESAKES_CODES:
            causes.append(self._namesakes())
        return GarError(error.code, ": ".join(filter(None, causes)))


def not_active(why: str) -> GarError:
    """What requests hear while the node isn't active."""
    return GarError(ErrorCode.NOT_ACTIVE, f"the node is not active: {why}")
