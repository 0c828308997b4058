# SPDX-License-Identifier: Apache-2.0
"""The requests of the soak's planners, good and bad ones of every kind, and the replies that are right."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image, RegionOfInterest

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode
from gar_ros.messages.headers import stamp_message, stamp_ns
from gar_ros.msg import Answer
from gar_ros.msg import Region as RegionMessage
from gar_ros.srv import ListRegions

MAX_AGE = 2.0
"""Seconds: the oldest image that good requests accept."""
PATIENCE = 60.0
"""Seconds that a request may take, so that a slow machine times out none of them."""

OK, INVALID = ErrorCode.OK, ErrorCode.INVALID_REQUEST
UNKNOWN, NO_FRAME = ErrorCode.UNKNOWN_REGION, ErrorCode.NO_FRAME


@dataclass
class Seen:
    """What a planner knows: ids and stamp of the regions that it saw last, and the conversation that it is in."""

    chance: random.Random
    ids: list[str] = field(default_factory=list)
    stamp: Time = field(default_factory=Time)
    dialogue: str = ""

    def some(self, count: int) -> list[str]:
        """Ids of `count` regions, as many as there are at most."""
        return self.chance.sample(self.ids, min(count, len(self.ids)))


@dataclass(frozen=True)
class Case:
    """One kind of request.

    ask: sends it and returns the answers and lists, whose age counts. right: the codes that are right at any time;
    QUEUE_FULL is where the model is needed, NO_FRAME and STALE_FRAME are while camera or detector are gone. needs:
    number of regions that the planner must have seen. model: whether it waits for the model.
    """

    name: str
    ask: Callable[[RegionClient, Seen], list[Any]]
    right: frozenset[ErrorCode]
    needs: int = 0
    model: bool = True


def _list(client: RegionClient, seen: Seen) -> list[ListRegions.Response]:
    listed = client.list_regions(with_masks=seen.chance.random() < 0.3, timeout=PATIENCE)
    seen.ids, seen.stamp = [region.id for region in listed.regions], listed.header.stamp
    return [listed]


def _query(words: str, count: int, **options: Any) -> Callable[[RegionClient, Seen], list[Answer]]:
    def ask(client: RegionClient, seen: Seen) -> list[Answer]:
        given = {"max_age": MAX_AGE, "timeout": PATIENCE, **options}
        return [client.query(words, seen.some(count), **given)]

    return ask


def _about_the_listed_image(client: RegionClient, seen: Seen) -> list[Answer]:
    client.query("What is <Prompt0>?", seen.some(1), stamp=seen.stamp, max_tokens=4, timeout=PATIENCE)
    return []


def _ago(client: RegionClient, seen: Seen) -> list[Answer]:
    client.query("What is <Prompt0>?", seen.some(1), ago=1.0, max_tokens=4, timeout=PATIENCE)
    return []


def _ad_hoc(client: RegionClient, seen: Seen) -> list[Answer]:
    box = RegionMessage(box=_roi(seen.chance.randrange(1000), seen.chance.randrange(500), 150, 120))
    return _query("<Prompt0> or <Prompt1>?", 1, regions=[box], max_tokens=4)(client, seen)


def _dialogue(client: RegionClient, seen: Seen) -> list[Answer]:
    """A first turn, then two more about the same image, however old it is by then."""
    if not seen.dialogue or seen.chance.random() < 0.35:
        (answer,) = _query("What is <Prompt0>?", 1, dialogue="new", max_tokens=6)(client, seen)
        seen.dialogue = answer.dialogue
        return [answer]
    dialogue, seen.dialogue = seen.dialogue, ""
    answer = client.query("What colour is it?", dialogue=dialogue, max_tokens=6, timeout=PATIENCE)
    seen.dialogue = answer.dialogue
    return []


def _describe(client: RegionClient, seen: Seen) -> list[Answer]:
    return client.describe(seen.some(2), max_tokens=5, max_age=MAX_AGE, timeout=PATIENCE)


def _graph(client: RegionClient, seen: Seen) -> list[Answer]:
    client.scene_graph(seen.some(3), max_pairs=4, max_age=MAX_AGE, timeout=PATIENCE)
    return []


def _find(client: RegionClient, seen: Seen) -> list[Answer]:
    client.find("the red thing", seen.some(2), remembered=seen.chance.random() < 0.5, max_age=MAX_AGE, timeout=PATIENCE)
    return []


def _stream(client: RegionClient, seen: Seen) -> list[Answer]:
    return [client.stream("What is <Prompt0>?", seen.some(1), max_tokens=24, max_age=MAX_AGE, timeout=PATIENCE)]


def _cancel(client: RegionClient, seen: Seen) -> list[Answer]:
    cancel = threading.Event()
    return [
        client.stream(
            "What is <Prompt0>?",
            seen.some(1),
            lambda _: cancel.set(),
            cancel,
            max_tokens=200,
            max_age=MAX_AGE,
            timeout=PATIENCE,
        )
    ]


def _bad_stream(client: RegionClient, seen: Seen) -> list[Answer]:
    return [client.stream("What is <Prompt0>?", ["nobody"], timeout=PATIENCE)]


def _hurried(client: RegionClient, seen: Seen) -> list[Answer]:
    return _query("What is <Prompt0>?", 1, timeout=0.05, max_tokens=200)(client, seen)


def _listing_of_long_ago(client: RegionClient, seen: Seen) -> list[Answer]:
    client.list_regions(stamp=_long_ago(seen), timeout=PATIENCE)
    return []


def _long_ago(seen: Seen) -> Time:
    return stamp_message(max(stamp_ns(seen.stamp) - 3600 * 10**9, 10**9))


def _query_long_ago(client: RegionClient, seen: Seen) -> list[Answer]:
    return _query("What is <Prompt0>?", 1, stamp=_long_ago(seen))(client, seen)


def _roi(x: int, y: int, width: int, height: int) -> RegionOfInterest:
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


def _codes(*codes: ErrorCode) -> frozenset[ErrorCode]:
    return frozenset(codes)


_FLICKER = _codes(OK, UNKNOWN)  # a region that was listed may have gone since
_EMPTY = RegionMessage(id="empty", box=_roi(9, 9, 0, 0))
_LYING = RegionMessage(id="lying", mask=Image(width=1280, height=720, encoding="mono8", step=1280, data=[1]))
_MANY = [RegionMessage(id=name, box=_roi(0, 0, 9, 9)) for name in "abcdefgh"]
_ASK = "What is <Prompt0>?"

GOOD = (
    Case("list", _list, _codes(OK), model=False),
    Case("open question", _query(_ASK, 1, max_tokens=8), _FLICKER, 1),
    Case("closed question", _query("Is <Prompt0> left of <Prompt1>?", 2, choices=["yes", "no"]), _FLICKER, 2),
    Case("region of the caller's", _ad_hoc, _FLICKER, 1),
    Case("dialogue", _dialogue, _FLICKER | {ErrorCode.UNKNOWN_DIALOGUE}, 1),
    Case("about the listed image", _about_the_listed_image, _FLICKER | {NO_FRAME}, 1),
    Case("a second ago", _ago, _FLICKER | {NO_FRAME}, 1),
    Case("describe", _describe, _FLICKER, 2),
    Case("scene graph", _graph, _FLICKER, 3),
    Case("find by words", _find, _FLICKER | {ErrorCode.STALE_FRAME}, 2),
    Case("action", _stream, _FLICKER, 1),
    Case("action, cancelled", _cancel, _FLICKER | {ErrorCode.CANCELLED}, 1),
)

BAD = (
    Case("unknown id", lambda c, s: [c.query(_ASK, ["nobody"], timeout=PATIENCE)], _codes(UNKNOWN), model=False),
    Case("unknown id, action", _bad_stream, _codes(UNKNOWN), model=False),
    Case("unknown id, describe", lambda c, s: c.describe(["nobody"], timeout=PATIENCE), _codes(UNKNOWN), model=False),
    Case("empty question", _query("", 1), _codes(INVALID), 1, model=False),
    Case("age that is no number", _query(_ASK, 1, max_age=float("nan")), _codes(INVALID), 1, model=False),
    Case("age below 0", _query(_ASK, 1, max_age=-1.0), _codes(INVALID), 1, model=False),
    Case("a thousand hours ago", _query(_ASK, 1, ago=3.6e6), _codes(INVALID), 1, model=False),
    Case("too many tokens", _query(_ASK, 1, max_tokens=10**6), _codes(INVALID), 1, model=False),
    Case("question too long", _query("word " * 5000, 1), _codes(ErrorCode.QUESTION_TOO_LONG), 1, model=False),
    Case("prompt without region", _query("<Prompt3>?", 1), _codes(ErrorCode.PROMPT_WITHOUT_REGION), 1, model=False),
    Case("word like a prompt", _query("What is <prompt1>?", 1), _codes(INVALID), 1, model=False),
    Case("stamp and ago", _query(_ASK, 1, stamp=Time(sec=9), ago=1.0), _codes(INVALID), 1, model=False),
    Case("stamp of long ago", _query_long_ago, _codes(NO_FRAME), 1, model=False),
    Case("list of long ago", _listing_of_long_ago, _codes(NO_FRAME), 1, model=False),
    Case("too many regions", _query(_ASK, 0, regions=_MANY), _codes(ErrorCode.TOO_MANY_REGIONS), model=False),
    Case("region without pixels", _query(_ASK, 0, regions=[_EMPTY]), _codes(ErrorCode.EMPTY_MASK), model=False),
    Case("mask of the wrong size", _query(_ASK, 0, regions=[_LYING]), _codes(INVALID), model=False),
    Case("one choice", _query(_ASK, 1, choices=["one"]), _codes(INVALID), 1, model=False),
    Case("the same choice twice", _query(_ASK, 1, choices=["a", "a"]), _codes(INVALID), 1, model=False),
    Case(
        "unknown dialogue",
        _query("And?", 0, dialogue="nobody", max_age=0.0),
        _codes(ErrorCode.UNKNOWN_DIALOGUE),
        model=False,
    ),
    Case("video of two regions", _query("<Prompt0>?", 2, keyframes=3), _codes(INVALID), 2, model=False),
    Case("predicate without words", lambda c, s: _none(c.scene_graph((), [" "])), _codes(INVALID), model=False),
    Case("no words to find", lambda c, s: _none(c.find(" ")), _codes(INVALID), model=False),
    Case("no time", _hurried, _FLICKER | {ErrorCode.TIMED_OUT}, 1),
)


def _none(_: object) -> list[Answer]:
    return []
