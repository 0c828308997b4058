"""What a caller asks for, and the limits of it. No ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gar_ros.engine.prompt import PromptBuilder
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.region import Region, check_count

LONGEST_TEXT = 4096
"""Characters of a question, and of all its choices together."""
MOST_CHOICES = 64
MOST_TOKENS = 1024
LONGEST_AGO = 1e5
"""Seconds."""
LONGEST_TIMEOUT = 3600.0
"""Seconds."""


@dataclass(frozen=True)
class Request:
    """Which regions of which image, and within which limits; 0: the node's default.

    stamp_ns: of the image, nanoseconds; 0: the newest. ago: the image so long before the newest instead, seconds.
    max_age, timeout: seconds.
    """

    region_ids: tuple[str, ...] = ()
    stamp_ns: int = 0
    ago: float = 0.0
    max_tokens: int = 0
    max_age: float = 0.0
    timeout: float = 0.0


@dataclass(frozen=True)
class Query(Request):
    """One question. ad_hoc: regions that came with the request, as functions that make them for an image.

    keyframes: 2 or more ask about the only region through so many kept images, as a video. dialogue: "new" or the id
    of a conversation; empty: a question for itself.
    """

    question: str = ""
    choices: tuple[str, ...] = ()
    keyframes: int = 0
    dialogue: str = ""
    ad_hoc: tuple[Callable[[Frame], Region], ...] = ()


@dataclass(frozen=True)
class Limits:
    """Of a request, the node's defaults filled in."""

    max_tokens: int
    max_age: float
    timeout: float
    max_tiles: int


def check_number(name: str, value: float, most: float) -> None:
    """Refuses what is no default (0) and out of range."""
    if not 0 <= value <= most:
        raise GarError(ErrorCode.INVALID_REQUEST, f"{name}: expected 0 (the default) to {most:g}, got {value:g}")


def check_question(prompts: PromptBuilder, query: Query, count: int) -> None:
    """Refuses what the model can't be asked. count: of the regions that the question can name. Raises GarError."""
    if max(len(query.question), sum(map(len, query.choices))) > LONGEST_TEXT:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG, f"expected at most {LONGEST_TEXT} characters in question and choices"
        )
    if len(query.choices) > MOST_CHOICES or len(set(query.choices)) < len(query.choices):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected at most {MOST_CHOICES} different choices, got {len(query.choices)}, "
            f"{len(set(query.choices))} of them different",
        )
    check_count(count, prompts.max_regions)
    prompts.question(query.question, count)
    if query.choices:
        prompts.choices(query.choices, count)
    if count == 0:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one region, got none")
