# SPDX-License-Identifier: Apache-2.0
"""Names for the detections of one message, whatever ids their detector gave."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_ID = 255
"""Characters of the longest id that is taken over from a detector."""


@dataclass(frozen=True)
class Names:
    """keys: of each detection, different from each other. ids: the detector's, empty where it can't be used; then the
    key says which detection of the message it is. odd: why ids can't be used, a sentence for each reason. nameless:
    what follows where ids are missing and the node follows regions by their ids, a sentence; empty where none is
    missing."""

    keys: tuple[str, ...]
    ids: tuple[str, ...]
    odd: tuple[str, ...]
    nameless: str = ""


def name_all(given: Sequence[str]) -> Names:
    """Names for detections with these ids. An id that is missing, repeated or no name counts as none."""
    counts = Counter(given)
    ids = tuple(one if counts[one] == 1 and not _unusable(one) else "" for one in given)
    taken, keys = set(ids), []
    for number, one in enumerate(ids):
        key = one or f"detection:{number}"
        while not one and key in taken:
            key += "'"
        taken.add(key)
        keys.append(key)
    return Names(tuple(keys), ids, tuple(_oddities(counts)), nameless(counts[""], len(given)))


def quoted(region_id: str) -> str:
    """An id as messages for people show it: in quotes, on one line, not endless."""
    short = region_id if len(region_id) <= 40 else f"{region_id[:40]}.."
    return "'" + "".join(char if unicodedata.category(char) != "Cc" else f"\\x{ord(char):02x}" for char in short) + "'"


def nameless(missing: int, total: int) -> str:
    """What it means that so many of all detections have no id, where regions are followed by ids; empty for none."""
    if not missing:
        return ""
    return (
        f"{missing} of {total} detections have no id, so they are other objects in every image: set parameter "
        "tracking.method to similari to follow them by their boxes"
    )


def _oddities(counts: Counter[str]) -> list[str]:
    odd = []
    repeated = sorted(one for one, count in counts.items() if one and count > 1)
    if repeated:
        odd.append(
            f"expected a different id for each detection of an image, got {counts[repeated[0]]} with the id "
            f"{quoted(repeated[0])}; they count as having none"
        )
    unusable = sorted(one for one in counts if one and _unusable(one))
    if unusable:
        odd.append(
            f"expected ids of at most {LONGEST_ID} characters and no control characters, got {quoted(unusable[0])} of "
            f"{len(unusable[0])}; it counts as none"
        )
    return odd


def _unusable(region_id: str) -> bool:
    if len(region_id) > LONGEST_ID:
        return True
    # What is printable has neither, and nearly all ids are.
    return not region_id.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in region_id)
