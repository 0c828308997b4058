# SPDX-License-Identifier: Apache-2.0
"""The keyword arguments of the client's calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from builtin_interfaces.msg import Time

from gar_ros.msg import Region


class Limits(TypedDict, total=False):
    """Keyword arguments that all questions take. Left out, None and 0 all mean the node's default.

    stamp: of the image; None: the newest image. max_age: seconds; an older image is refused. timeout: seconds from
    the request's arrival at the node to its answer; left out or 0: TIMEOUT.
    """

    stamp: Time | None
    max_age: float
    timeout: float


class DescribeOptions(Limits, total=False):
    """Keyword arguments of `describe`. max_tokens: of each description."""

    max_tokens: int


class QuestionOptions(Limits, total=False):
    """Keyword arguments of `query` and `stream`; Question.msg tells each in full.

    regions: regions that the caller adds, whose prompts follow those of region_ids. choices: makes it a closed
    question. ago: seconds before the newest image. keyframes: 2 or more ask about the only region through so many kept
    images. dialogue: "new", or that of an earlier answer to continue its conversation. max_tokens: of free text.
    """

    regions: Sequence[Region]
    choices: Sequence[str]
    ago: float
    keyframes: int
    dialogue: str
    max_tokens: int


class GraphOptions(Limits, total=False):
    """Keyword arguments of `scene_graph`. threshold: least probability. max_pairs: most ordered pairs of regions."""

    threshold: float
    max_pairs: int


class FindOptions(Limits, total=False):
    """Keyword arguments of `find`.

    remembered: also among regions that the newest image doesn't show, each on the last kept image that shows it.
    least_probability: of a region that is returned. max_results: most regions that are returned.
    """

    remembered: bool
    least_probability: float
    max_results: int
