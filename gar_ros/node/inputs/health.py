# SPDX-License-Identifier: Apache-2.0
"""What has come on each input topic, and why nothing pairs up."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from gar_ros.settings import PARAMETERS

_HISTORY = 2000
"""Stamps remembered of each topic: a detector that is slower than that many images is told as having no match."""
_COMPARED = 30
"""Newest detections whose stamps are compared with those of images."""
_OTHER_CLOCK_NS = 60_000_000_000
"""Stamps at least that far apart come from different clocks."""
_SIMULATED_BEFORE_NS = 1_000_000_000_000_000_000
"""Nanoseconds from 1970 to 2001: an earlier stamp is of simulated time."""


@dataclass(frozen=True)
class Rules:
    """How images and detections pair. slop_ns: None where stamps must be equal. queue_size: as `sync.queue_size`."""

    slop_ns: int | None
    queue_size: int

    @property
    def tolerance_ns(self) -> int:
        """Stamps pair that differ by less, nanoseconds."""
        return self.slop_ns or 1


@dataclass
class Stream:
    """What has been seen of one input topic."""

    topic: str
    publishers: int = 0
    last_arrival: float = -math.inf
    """Monotonic seconds."""
    refused: str = ""
    """Why its last message can't be used; empty when it could."""
    failing: str = ""
    """What its last message made fail here; empty when nothing did."""
    incompatible: str = ""
    """The QoS policy in which a publisher and this subscription don't match."""
    mistyped: str = ""
    """What is wrong with the message type of a publisher; empty when nothing is."""
    elsewhere: str = ""
    """Where its messages are published instead, and what to do; empty where that isn't known."""
    late: int = 0
    """Of detections: number of newer images that were there when the last one came; 0 where its image isn't known."""
    early: int = 0
    """Of detections: number of newer detections that were there when the image of one came."""
    stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """Stamps of the last messages, nanoseconds, oldest first."""

    def saw(self, stamp_ns: int, now: float) -> None:
        """Remembers a message that came at `now`, monotonic seconds."""
        self.last_arrival = now
        self.stamps_ns.append(stamp_ns)

    def newer(self, stamp_ns: int, tolerance_ns: int) -> int:
        """Number of messages that have come since the one with this stamp; 0 where there is none."""
        since = enumerate(reversed(self.stamps_ns))
        return next((count for count, one in since if abs(one - stamp_ns) < tolerance_ns), 0)

    def start_over(self) -> None:
        """Forgets the stamps, since the clock jumped."""
        self.stamps_ns.clear()
        self.late = self.early = 0

    def trouble(self, now: float, quiet: float) -> str:
        """Why this topic has brought nothing for `quiet` seconds; empty when it has. now: monotonic seconds."""
        if reason := self.refused or self.failing:
            return f"messages on {self.topic} are refused: {reason}"
        if now - self.last_arrival < quiet:
            return ""
        if self.mistyped:
            return self.mistyped
        if self.publishers == 0:
            return f"nobody publishes {self.topic}" + (f", but {self.elsewhere}" if self.elsewhere else "")
        if math.isfinite(self.last_arrival):
            return self.last_message(now)
        if self.incompatible:
            return (
                f"{self.topic} has a publisher whose QoS policy '{self.incompatible}' does not match this node's "
                "(parameter 'input.reliability')"
            )
        return f"{self.topic} has {self.publishers} publisher(s) but no message has arrived"

    def last_message(self, now: float) -> str:
        """How long ago the last message came. now: monotonic seconds."""
        return f"the last message on {self.topic} came {now - self.last_arrival:.1f} s ago"


def why_unpaired(image: Stream, detections: list[Stream], rules: Rules, now: float, quiet: float) -> str:
    """Why images and detections haven't paired up for `quiet` seconds, for the person who can mend it.

    now: monotonic seconds.
    """
    if trouble := image.trouble(now, quiet):
        return trouble
    alive = [stream for stream in detections if not stream.trouble(now, quiet)]
    if alive:
        return "; ".join(_why_apart(image, stream, rules, now) for stream in alive)
    # That nobody publishes a topic is only the reason where the other one isn't in use either.
    in_use = [stream for stream in detections if stream.publishers or stream.refused or stream.failing] or detections
    return "; ".join(stream.trouble(now, quiet) for stream in in_use)


def too_late(image: Stream, detections: Stream, queue_size: int) -> str:
    """What to do where the queue is too short for how late images or detections come; empty where it is not."""
    if detections.late >= queue_size:
        needed = detections.late
        reason = (
            f"a message on {detections.topic} arrives {needed} images later than its own image, but only {queue_size} "
            "images wait for their regions"
        )
    elif detections.early >= queue_size:
        needed = detections.early
        reason = (
            f"an image on {image.topic} arrives {needed} messages later than its own one on {detections.topic}, but "
            f"only {queue_size} messages wait for their image"
        )
    else:
        return ""
    most = int(PARAMETERS["sync.queue_size"].metadata["limits"][1])
    enough = math.ceil(1.5 * (needed + 1))
    advice = f"set parameter 'sync.queue_size' to {min(enough, most)} or more"
    if needed >= most:
        advice = f"parameter 'sync.queue_size' takes {most} at most, so make the detector faster or the camera slower"
    return f"{reason}: {advice}"


def _why_apart(image: Stream, detections: Stream, rules: Rules, now: float) -> str:
    if reason := too_late(image, detections, rules.queue_size):
        return reason
    nearest = _nearest(image, detections)
    if nearest < rules.tolerance_ns:
        # They did pair up: the detector has just gone quiet, or the next pair is on its way.
        return detections.last_message(now)
    if nearest >= _OTHER_CLOCK_NS:
        return (
            f"{image.topic} and {detections.topic} both arrive but not with stamps of one clock: "
            f"{_clocks(image, detections)}"
        )
    slop_ns = rules.slop_ns
    wanted = "equal stamps" if slop_ns is None else f"stamps less than {slop_ns / 1e6:g} ms apart"
    return (
        f"{image.topic} and {detections.topic} both arrive but not with {wanted}: the nearest are "
        f"{nearest / 1e6:.3f} ms apart (detections must carry the stamp of their image"
        f"{_slop_advice(image, nearest, slop_ns)})"
    )


def _nearest(image: Stream, detections: Stream) -> int:
    """The smallest difference between stamps of images and of the newest detections, nanoseconds; 0 without both."""
    newest = list(islice(reversed(detections.stamps_ns), _COMPARED))
    if not newest or not image.stamps_ns:
        return 0
    return int(np.abs(np.subtract.outer(np.array(image.stamps_ns), np.array(newest))).min())


def _clocks(image: Stream, detections: Stream) -> str:
    """How the stamps differ and what to compare."""
    ahead, simulated = detections.stamps_ns[-1] - image.stamps_ns[-1], []
    for stream in (image, detections):
        if stream.stamps_ns[-1] < _SIMULATED_BEFORE_NS:
            simulated.append(stream.topic)
    if len(simulated) == 1:
        return (
            f"{simulated[0]} counts simulated time and the other one the time since 1970; give camera and detector "
            "the same use_sim_time"
        )
    where = "ahead of" if ahead > 0 else "behind"
    return (
        f"{detections.topic} is {abs(ahead) / 1e9:.0f} s {where} {image.topic}; compare use_sim_time of camera and "
        "detector and the clocks of their machines (detections must carry the stamp of their image)"
    )


def _slop_advice(image: Stream, nearest: int, slop_ns: int | None) -> str:
    """That other stamps may be accepted, where they differ so little that no other image is as near."""
    periods = np.abs(np.diff(np.array(image.stamps_ns, np.int64)))
    limit = PARAMETERS["sync.slop"].metadata["limits"][1]
    if nearest * 1.2 > limit * 1e9 or (len(periods) and nearest > float(np.median(periods))):
        return "; compare the clocks of camera and detector"
    slop = f"'sync.slop' to {max(1.2 * nearest / 1e9, 0.001):.2g} or more"
    if slop_ns is None:
        return f"; or set parameter 'sync.policy' to 'approximate' and {slop}"
    return f"; or set parameter {slop}"
