# SPDX-License-Identifier: Apache-2.0
"""Error codes shared by the services, the command line and the engine, and the one exception that carries them."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """The outcome of a request; ErrorCode.msg has the same constants with their meanings (a test compares both)."""

    OK = 0
    NOT_ACTIVE = 1
    NO_FRAME = 2
    STALE_FRAME = 3
    UNKNOWN_REGION = 4
    TOO_MANY_REGIONS = 5
    EMPTY_MASK = 6
    PROMPT_WITHOUT_REGION = 7
    QUESTION_TOO_LONG = 8
    QUEUE_FULL = 9
    TIMED_OUT = 10
    CANCELLED = 11
    INVALID_REQUEST = 12
    BAD_MODEL = 13
    INTERNAL_ERROR = 14
    UNKNOWN_DIALOGUE = 15


class GarError(Exception):
    """A request that can't be answered, or a model folder that can't be used.

    message: one line about what was expected, what came and, where it isn't obvious, what to do.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
