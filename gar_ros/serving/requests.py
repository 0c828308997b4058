"""What a caller asks for, and within which limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.region import Region
from gar_ros.settings import Settings

MAX_CHARACTERS = 4096
"""Characters of a question, and of all its choices together."""
MAX_CHOICES = 64
MAX_TOKENS = 1024
MAX_AGO = 1e5
"""Seconds."""
MAX_TIMEOUT = 3600.0
"""Seconds."""


@dataclass(frozen=True)
class Request:
    """Which regions of which image, and within which limits; 0: the node's default. No region_ids: all regions.

    stamp_ns: of the image, nanoseconds; 0: the newest. ago: the image so long before the newest instead, seconds.
    max_age, timeout: seconds.
    """

    region_ids: tuple[str, ...] = ()
    stamp_ns: int = 0
    ago: float = 0.0
    max_tokens: int = 0
    max_age: float = 0.0
    timeout: float = 0.0

    @property
    def needs_regions(self) -> bool:
        """Whether only an image in which a detector found regions can serve."""
        return True


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

    @property
    def needs_regions(self) -> bool:
        """See Request: regions that come with the question need no detector."""
        return bool(self.region_ids)


@dataclass(frozen=True)
class Limits:
    """Of a request, the node's defaults filled in. timeout: seconds."""

    max_tokens: int
    timeout: float
    max_tiles: int


def limits_of(request: Request, settings: Settings, model_tiles: int) -> Limits:
    """model_tiles: the most tiles that the model takes. Raises GarError INVALID_REQUEST for a number out of range."""
    check_number("timeout", request.timeout, MAX_TIMEOUT)
    check_number("max_age", request.max_age, math.inf)
    check_number("ago", request.ago, MAX_AGO)
    check_number("max_tokens", request.max_tokens, MAX_TOKENS)
    return Limits(
        max_tokens=request.max_tokens or settings.request.max_tokens,
        timeout=request.timeout or settings.request.timeout,
        max_tiles=min(settings.request.max_tiles or model_tiles, model_tiles),
    )


def check_number(name: str, value: float, maximum: float) -> None:
    """Refuses what is no default (0) and out of range."""
    if not 0 <= value <= maximum:
        raise GarError(ErrorCode.INVALID_REQUEST, f"{name}: expected 0 (the default) to {maximum:g}, got {value:g}")


def check_texts(query: Query) -> None:
    """Refuses longer texts and more choices than anybody means, before they become tokens."""
    if max(len(query.question), sum(map(len, query.choices))) > MAX_CHARACTERS:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG, f"expected at most {MAX_CHARACTERS} characters in question and choices"
        )
    different = len(set(query.choices))
    if len(query.choices) > MAX_CHOICES or different < len(query.choices):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected at most {MAX_CHOICES} different choices, got {len(query.choices)}, {different} of them "
            "different",
        )


def check_video(query: Query, max_images: int) -> None:
    """Refuses a video of anything but one region that a detector named, or of more images than the model takes."""
    if query.keyframes > 1 and (len(query.region_ids) != 1 or query.ad_hoc or query.keyframes > max_images):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"keyframes: expected one region id and at most {max_images} images, got {len(query.region_ids)} ids, "
            f"{len(query.ad_hoc)} regions with the request, and {query.keyframes} images",
        )


def check_continuation(query: Query) -> None:
    """Refuses other regions or another image in a conversation that goes on."""
    if query.region_ids or query.ad_hoc or query.stamp_ns or query.ago or query.keyframes:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            "expected no regions, stamp, ago or keyframes in a dialogue that goes on: it has those of its start",
        )
