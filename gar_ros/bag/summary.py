# SPDX-License-Identifier: Apache-2.0
"""What of a bag was not answered about or not copied, and why, for the person who can mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gar_ros.bag.annotate import Count
from gar_ros.bag.inputs import Inputs
from gar_ros.bag.plan import Plan, least_distance
from gar_ros.messages.pairing import Input


def why_alone(plan: Plan, inputs: Inputs, slop_ns: int | None) -> Iterator[str]:
    """Sentences about the images that have no regions, and about stamps that can't be used."""
    topics = {kind: topic for topic, kind in inputs.kinds.items()}
    for reason, times in plan.unusable.items():
        yield f"{times} message(s) left out: {reason}"
    if not plan.images:
        yield f"the bag has no messages on {topics[Input.IMAGE]}; name the camera's topic with --image"
        return
    if not plan.alone:
        return
    why = "; ".join(_why(kind, topics[kind], plan, slop_ns) for kind in plan.found)
    yield f"{len(plan.alone)} of {plan.images} images on {topics[Input.IMAGE]} have no regions: {why}"


def what_came_of_it(count: Count, not_copied: Mapping[str, int], every_ns: int) -> Iterator[str]:
    """Sentences about messages and images that were left out. not_copied: messages, by the reason."""
    for reason, times in count.skipped.items():
        yield f"{times} message(s) left out: {reason}"
    for topic, (times, first) in count.odd.items():
        yield (
            f"{times} message(s) on {topic} have detections that are left out, or without their ids; the first: {first}"
        )
    for reason, times in not_copied.items():
        yield f"{times} message(s) not copied: {reason}"
    if count.bare:
        yield f"in {count.bare} images no region has a pixel"
    if count.between:
        yield f"{count.between} images left out: less than {every_ns / 1e9:g} s from an answered one; see --every"


def _why(kind: Input, topic: str, plan: Plan, slop_ns: int | None) -> str:
    if not plan.found[kind]:
        option = "--regions" if kind is Input.REGIONS else "--instances"
        return f"{topic} has no messages with a stamp; name the detector's topic with {option}"
    strays = plan.strays[kind]
    if not strays:
        return f"the detector has left them out (all {plan.found[kind]} messages on {topic} belong to other images)"
    distance = least_distance(plan.alone, strays) or 0
    wanted = "their stamp" if slop_ns is None else f"a stamp less than {slop_ns / 1e6:g} ms away"
    return (
        f"no message on {topic} has {wanted}; {len(strays)} messages there belong to no image, the nearest is "
        f"{distance / 1e6:.3f} ms away (the detector must copy the stamp of its image; --slop allows a difference)"
    )
