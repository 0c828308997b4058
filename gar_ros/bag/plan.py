# SPDX-License-Identifier: Apache-2.0
"""Which messages of a bag belong together, found by their stamps in the whole file before any picture is looked at."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gar_ros.bag.files import Recorded
from gar_ros.bag.rounds import Noted, by_round
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.pairing import Input, checked_stamp_ns


class Pair(NamedTuple):
    """An image and what was found in it, by their numbers. kind: of what was found."""

    kind: Input
    image: int
    found: int


@dataclass
class Plan:
    """What belongs together.

    due: the pairs that are complete with a message, by its number. last_use: the number of the message with which a
    message is used last; messages that belong to none are not in it. images: number of images in the bag. unusable:
    messages whose stamps can't be used, how many for which reason. alone: images without any pair, stamps in
    nanoseconds. strays: what was found in none of the images, stamps in nanoseconds, by input. found: number of
    messages of each input.
    """

    due: dict[int, list[Pair]] = field(default_factory=dict)
    last_use: dict[int, int] = field(default_factory=dict)
    images: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    alone: list[int] = field(default_factory=list)
    strays: dict[Input, list[int]] = field(default_factory=dict)
    found: dict[Input, int] = field(default_factory=dict)


def make_plan(
    messages: Iterable[Recorded],
    kinds: Mapping[str, Input],
    slop_ns: int | None,
    together: bool,
    progress: Callable[[int], None] = lambda count: None,
) -> Plan:
    """kinds: of the topics that are read. slop_ns: stamps must differ by less; None: they must be equal. together:
    whether an image needs a message of all its inputs. progress: told the number of messages after each."""
    plan = Plan()
    noted: dict[Input, list[Noted]] = {kind: [] for kind in kinds.values()}
    number = 0
    for message in messages:
        kind = kinds.get(message.topic)
        if kind is None:
            continue
        try:
            noted[kind].append(Noted(number, _stamp_of(message.data), message.logged_ns))
        except GarError as error:
            plan.unusable[f"{message.topic}: {error.message}"] += 1
        plan.images += kind is Input.IMAGE
        number += 1
        progress(number)
    images = noted.pop(Input.IMAGE)
    pairs: dict[int, list[Pair]] = {}
    for kind, found in noted.items():
        made = _pairs(kind, images, found, slop_ns)
        for pair in made:
            pairs.setdefault(pair.image, []).append(pair)
        paired = {pair.found for pair in made}
        plan.strays[kind] = [one.stamp_ns for one in found if one.number not in paired]
        plan.found[kind] = len(found)
    if together:
        pairs = {image: made for image, made in pairs.items() if len(made) == len(noted)}
    plan.alone = [image.stamp_ns for image in images if image.number not in pairs]
    _schedule(plan, pairs, together)
    return plan


def _stamp_of(data: bytes) -> int:
    """The header's stamp, nanoseconds: all types that are read begin with one. Raises GarError INVALID_REQUEST."""
    if len(data) < 12:
        raise GarError(ErrorCode.INVALID_REQUEST, "it can't be decoded")
    return checked_stamp_ns(*struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4))


def _schedule(plan: Plan, pairs: Mapping[int, list[Pair]], together: bool) -> None:
    for image, made in pairs.items():
        whole = max(image, *(pair.found for pair in made))
        for pair in made:
            due = whole if together else max(image, pair.found)
            plan.due.setdefault(due, []).append(pair)
            plan.last_use[pair.found] = due
        plan.last_use[image] = whole


def _pairs(kind: Input, images: list[Noted], found: list[Noted], slop_ns: int | None) -> list[Pair]:
    """Where no stamp is repeated, stamps alone say what belongs together, however late and in whichever order it was
    recorded. Repeated stamps, as after a simulator was reset, belong together within a round."""
    nearest = _equal if slop_ns is None else _mutually_nearest
    rounds = [(images, found)] if _differ(images) and _differ(found) else by_round(images, found)
    return [Pair(kind, *pair) for part in rounds for pair in nearest(*part, slop_ns or 0)]


def _differ(noted: list[Noted]) -> bool:
    return len({one.stamp_ns for one in noted}) == len(noted)


def _equal(images: list[Noted], found: list[Noted], _: int) -> list[tuple[int, int]]:
    by_stamp = {one.stamp_ns: one.number for one in found}
    return [(image.number, by_stamp[image.stamp_ns]) for image in images if image.stamp_ns in by_stamp]


def _mutually_nearest(images: list[Noted], found: list[Noted], slop_ns: int) -> list[tuple[int, int]]:
    """Pairs of which each is the other's nearest; of two as near the earlier."""
    images, found = (sorted(noted, key=lambda one: one.stamp_ns) for noted in (images, found))
    stamps = [one.stamp_ns for one in images], [one.stamp_ns for one in found]
    pairs = []
    for at, image in enumerate(images):
        nearest = _nearest(stamps[1], image.stamp_ns)
        if nearest is None or abs(stamps[1][nearest] - image.stamp_ns) >= slop_ns:
            continue
        if _nearest(stamps[0], stamps[1][nearest]) == at:
            pairs.append((image.number, found[nearest].number))
    return pairs


def _nearest(stamps: list[int], stamp: int) -> int | None:
    """The index of the nearest of sorted stamps."""
    after = bisect_left(stamps, stamp)
    around = [index for index in (after - 1, after) if 0 <= index < len(stamps)]
    return min(around, key=lambda index: abs(stamps[index] - stamp), default=None)


def least_distance(some: Iterable[int], others: Iterable[int]) -> int | None:
    """Between a stamp of the one and a stamp of the others, nanoseconds; None where there are none."""
    there = sorted(others)
    nearest = [(stamp, _nearest(there, stamp)) for stamp in some]
    return min((abs(there[index] - stamp) for stamp, index in nearest if index is not None), default=None)
