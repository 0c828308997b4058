# SPDX-License-Identifier: Apache-2.0
"""Requests as values, their limits, and the checks that need no model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.region import Region
from gar_ros.serving.fair_queue import UNKNOWN_CALLER, Caller
from gar_ros.settings import Settings

YES_NO = ("yes", "no")
"""The choices of what the node itself asks."""
MAX_CHARACTERS = 4096
"""Largest number of characters of a question, and of all its choices together."""
MAX_CHOICES = 64
MAX_TOKENS = 1024
MAX_AGO = 1e5  # seconds
MAX_TIMEOUT = 3600.0  # seconds
SENDING_SECONDS = 0.1
"""Left of a request's time when its answer stops waiting for places in space."""


@dataclass(frozen=True)
class Request:
    """Which regions of which image a request is about, and within which limits. A limit of 0 is the node's default.

    region_ids: empty for all regions. stamp_ns: the image's stamp, nanoseconds; 0 for the newest image. ago: age of the
    image relative to the newest, seconds; 0 when it is not chosen so. max_tokens: length of the answer. max_age:
    largest age of the image, seconds. timeout: time until the answer, seconds. caller: who takes turns with others.
    """

    region_ids: tuple[str, ...] = ()
    stamp_ns: int = 0
    ago: float = 0.0
    max_tokens: int = 0
    max_age: float = 0.0
    timeout: float = 0.0
    caller: Caller = UNKNOWN_CALLER

    @property
    def needs_regions(self) -> bool:
        """Whether the request needs an image in which a detector has found regions."""
        return True


@dataclass(frozen=True)
class Query(Request):
    """One question.

    choices: empty for an open question. keyframes: 2 or more ask about the one region in as many past images, as a
    video. dialogue: "new" or the id of a conversation; empty for a question that is not part of one. ad_hoc: regions
    that come with the request, as functions that make the region for an image.
    """

    question: str = ""
    choices: tuple[str, ...] = ()
    keyframes: int = 0
    dialogue: str = ""
    ad_hoc: tuple[Callable[[Frame], Region], ...] = ()

    @property
    def needs_regions(self) -> bool:
        """See Request. Regions that come with the question need no detector."""
        return bool(self.region_ids)


@dataclass(frozen=True)
class Limits:
    """The limits of a request with the node's defaults filled in.

    max_tokens: length of the answer. timeout: seconds from the request's arrival to its answer. max_tiles: number of
    tiles of the image, without the thumbnail.
    """

    max_tokens: int
    timeout: float
    max_tiles: int


def limits_of(request: Request, settings: Settings, model_tiles: int) -> Limits:
    """The limits of a request. model_tiles: largest number of tiles that the model takes.

    Raises GarError INVALID_REQUEST for a number out of range.
    """
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
    """Raises GarError INVALID_REQUEST for a number outside 0..maximum and for NaN; `name` names it in the error."""
    if not 0 <= value <= maximum:
        raise GarError(ErrorCode.INVALID_REQUEST, f"{name}: expected 0 (the default) to {maximum:g}, got {value:g}")


def check_texts(query: Query) -> None:
    """Raises GarError QUESTION_TOO_LONG or INVALID_REQUEST for texts and choices beyond the limits above."""
    characters = (len(query.question), sum(map(len, query.choices)))
    if max(characters) > MAX_CHARACTERS:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG,
            f"expected at most {MAX_CHARACTERS} characters in the question, and as many in all choices together, got "
            f"{characters[0]} and {characters[1]}",
        )
    different = len(set(query.choices))
    if len(query.choices) > MAX_CHOICES or different < len(query.choices):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected at most {MAX_CHOICES} different choices, got {len(query.choices)}, {different} of them "
            "different",
        )


def check_video(query: Query, max_images: int) -> None:
    """Raises GarError INVALID_REQUEST for a video of other than one detected region or of more than `max_images`."""
    if query.keyframes > 1 and (len(query.region_ids) != 1 or query.ad_hoc or query.keyframes > max_images):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"keyframes: expected at most {max_images} images and the id of one detected region, got {query.keyframes} "
            f"images, {len(query.region_ids)} region ids and {len(query.ad_hoc)} regions that came with the request",
        )


def check_continuation(query: Query) -> None:
    """Raises GarError INVALID_REQUEST for a further turn that names an image or regions."""
    if query.region_ids or query.ad_hoc or query.stamp_ns or query.ago or query.keyframes:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            "expected no regions, stamp, ago or keyframes: a dialogue that goes on keeps the image and regions of its "
            "first question",
        )
