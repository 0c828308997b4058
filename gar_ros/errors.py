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


class OutOfMemoryError(GarError):
    """A request that the memory of the machine or of its GPU doesn't suffice for; those after it may be answered."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.INTERNAL_ERROR, message)


class GpuLostError(GarError):
    """A failure of the GPU after which CUDA fails whatever this process asks of it: only a new process can go on."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.INTERNAL_ERROR, message)


def missing_package(what: str, package: str | None, install: str = "") -> GarError:
    """What to raise where `what` needs a Python package that is not installed. install: what pip is to install."""
    how = f": run `pip install {install}` in the venv of this command" if install else ""
    message = f"{what} needs the Python package {package}, which is not installed{how}"
    return GarError(ErrorCode.INVALID_REQUEST, message)


LEAVING = (KeyboardInterrupt, SystemExit)
"""What isn't caught where everything else is: somebody wants the process to end."""
_LONGEST_REASON = 1000


def reason_of(error: BaseException) -> str:
    """One line that says what went wrong, as messages and logs can hold it: no surrogates, no zero characters."""
    if isinstance(error, GarError):
        text = error.message
    else:
        try:
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
        except Exception:  # noqa: BLE001 an exception of a library that can't even be printed
            text = type(error).__name__
    line = " ".join(text.replace("\0", " ").split())
    return line[:_LONGEST_REASON].encode(errors="replace").decode()
