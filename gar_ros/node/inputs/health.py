# SPDX-License-Identifier: Apache-2.0
"""What has come on each input topic, and why nothing pairs up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Stream:
    """What has been seen of one input topic."""

    topic: str
    publishers: int = 0
    last_arrival: float = -math.inf
    """Monotonic seconds."""
    refused: str = ""
    """Why its last message can't be used; empty when it could."""
    incompatible: str = ""
    """The QoS policy in which a publisher and this subscription don't match."""
    stamps_ns: list[int] = field(default_factory=list)
    """Stamps of the last few messages, nanoseconds."""

    def saw(self, stamp_ns: int, now: float) -> None:
        """Remembers a message that came at `now`, monotonic seconds."""
        self.last_arrival = now
        self.stamps_ns = [*self.stamps_ns[-29:], stamp_ns]

    def trouble(self, now: float, quiet: float) -> str:
        """Why this topic has brought nothing for `quiet` seconds; empty when it has. now: monotonic seconds."""
        if self.refused:
            return f"messages on {self.topic} are refused: {self.refused}"
        if now - self.last_arrival < quiet:
            return ""
        if self.publishers == 0:
            return f"nobody publishes {self.topic}"
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


def why_unpaired(image: Stream, detections: list[Stream], slop_ns: int | None, now: float, quiet: float) -> str:
    """Why images and detections haven't paired up for `quiet` seconds, for the person who can mend it.

    slop_ns: None where stamps must be equal. now: monotonic seconds.
    """
    if trouble := image.trouble(now, quiet):
        return trouble
    alive = [stream for stream in detections if not stream.trouble(now, quiet)]
    if alive:
        return "; ".join(_why_apart(image, stream, slop_ns, now) for stream in alive)
    # That nobody publishes a topic is only the reason where the other one isn't in use either.
    in_use = [stream for stream in detections if stream.publishers or stream.refused] or detections
    return "; ".join(stream.trouble(now, quiet) for stream in in_use)


def _why_apart(image: Stream, detections: Stream, slop_ns: int | None, now: float) -> str:
    nearest = min((abs(a - b) for a in image.stamps_ns for b in detections.stamps_ns), default=0)
    if nearest < (slop_ns or 1):
        # They did pair up: the detector has just gone quiet, or the next pair is on its way.
        return detections.last_message(now)
    wanted = "equal stamps" if slop_ns is None else f"stamps less than {slop_ns / 1e6:g} ms apart"
    hint = "; or set parameter 'sync.policy' to 'approximate'" if slop_ns is None else ""
    return (
        f"{image.topic} and {detections.topic} both arrive but not with {wanted}: the nearest are "
        f"{nearest / 1e6:.3f} ms apart (detections must carry the stamp of their image{hint})"
    )
