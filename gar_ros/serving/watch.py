# SPDX-License-Identifier: Apache-2.0
"""One watch: what it asks, what it has seen, and when it has come true. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.prompt import Question
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.answers import AnswerRecord
from gar_ros.region import Region
from gar_ros.serving.requests import MAX_TIMEOUT, YES_NO, Query, check_number
from gar_ros.settings import Settings

MAX_RATE = 60.0  # Hz


@dataclass(frozen=True)
class WatchRequest(Query):
    """A question that is asked again and again until its answer is the one waited for. 0 stands for the node's default.

    words: regions found by words, whose prompts follow those of region_ids. choices: empty for yes and no. expected:
    the choice waited for; empty for the first. least_probability: of that choice, 0..1. hold: seconds, by stamps, for
    which every look must find it. rate: looks a second. timeout: seconds until the watch ends.
    """

    words: tuple[str, ...] = ()
    expected: str = ""
    least_probability: float = 0.0
    hold: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class Terms:
    """When a watch has come true, with the node's defaults filled in.

    expected: index into the choices. hold_ns: nanoseconds between stamps. period, timeout: seconds.
    """

    expected: int
    least_probability: float
    hold_ns: int
    period: float
    timeout: float

    @classmethod
    def of(cls, request: WatchRequest, settings: Settings) -> Terms:
        """Raises GarError INVALID_REQUEST for what can't be waited for."""
        check_number("least_probability", request.least_probability, 1.0)
        check_number("hold", request.hold, MAX_TIMEOUT)
        check_number("rate", request.rate, MAX_RATE)
        check_number("timeout", request.timeout, MAX_TIMEOUT)
        choices, timeout = choices_of(request), request.timeout or settings.watch.timeout
        if request.expected and request.expected not in choices:
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"expected: one of the choices {list(choices)}, got '{request.expected}'"
            )
        if request.hold >= timeout:
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"hold: expected less than the timeout ({timeout:g} s), got {request.hold:g}"
            )
        return cls(
            expected=choices.index(request.expected) if request.expected else 0,
            least_probability=request.least_probability or settings.watch.least_probability,
            hold_ns=round(request.hold * 1e9),
            period=1 / (request.rate or settings.watch.rate),
            timeout=timeout,
        )


@dataclass(frozen=True)
class Look:
    """One look of a watch at an image.

    stamp_ns: the image's stamp, nanoseconds. region_ids: in prompt order. probabilities: of the choices. holds: whether
    the expected choice has the least probability. since_ns: stamp of the image with which it began to hold, 0 while it
    does not. looks: number of looks so far.
    """

    stamp_ns: int
    region_ids: tuple[str, ...]
    probabilities: tuple[float, ...]
    holds: bool
    since_ns: int
    looks: int


@dataclass(frozen=True, eq=False)
class Moment:
    """An answer, the image and regions that it is about, and the age of the image then, nanoseconds."""

    answer: Answer
    frame: Frame
    regions: tuple[Region, ...]
    age_ns: int


Search = Callable[[Frame, Collection[str], CancelCheck], Generator[None, None, "str | None"]]
"""Looks for a region of an image by words, in the model's thread. Called with the image, the ids of regions that are
none, and a check to be called between steps. Yields between its questions; returns the region's id, None where no
region fits."""

End = AnswerRecord | GarError
"""How a watch ends: the answer that was waited for, or why there is none."""


class Watch:
    """One goal of a planner. Its Watcher alone changes it.

    region_ids: in prompt order; empty while words have not been found yet. Times are monotonic seconds.
    """

    def __init__(
        self,
        request: WatchRequest,
        question: Question,
        terms: Terms,
        searches: tuple[Search, ...],
        now: float,
        on_look: Callable[[Look], object],
        on_end: Callable[[End], object],
    ) -> None:
        """searches: for the request's words. now: when the request came. on_look: called in the model's
        thread. on_end: called once, in any thread."""
        self.request, self.question, self.terms = request, question, terms
        self.searches, self.on_look, self.on_end = searches, on_look, on_end
        self.began, self.deadline = now, now + terms.timeout
        self.region_ids: tuple[str, ...] = ()
        self.searching: Generator[None, None, tuple[str, ...]] | None = None
        """A search that was begun and goes on at the next turn."""
        self.looked_at = 0
        """Number of the image that was looked at last."""
        self.next_look = self.last_look = now
        self.looks = 0
        self.since: Moment | None = None
        self.probability = float("nan")
        """Of the expected choice in the last look."""
        self.begin_again()

    def begin_again(self) -> None:
        """Forgets what was found by words, to look for it again."""
        self.region_ids = () if self.searches else self.request.region_ids
        self.searching = self.since = None

    @property
    def asked(self) -> tuple[tuple[str, ...], Question]:
        """What is equal in watches that are alike."""
        return self.region_ids, self.question

    def is_due(self, frame: Frame, shown: Collection[str], now: float) -> bool:
        """Whether the image is to be looked at. shown: ids of the image's regions."""
        new = self.looked_at != frame.number and now >= self.next_look
        return new and all(region_id in shown for region_id in self.region_ids)

    def search(self, frame: Frame, raise_if_cancelled: CancelCheck) -> bool:
        """Goes on looking for the regions by words, up to the next question; whether the search is over.

        frame: where to begin. region_ids has them all, or is empty where one wasn't found. Raises as the searches do.
        """
        if self.searching is None:
            self.searching = self._search(frame, raise_if_cancelled)
        try:
            next(self.searching)
        except StopIteration as done:
            self.searching, self.region_ids = None, done.value
            return True
        except BaseException:
            self.searching = None
            raise
        return False

    def _search(self, frame: Frame, raise_if_cancelled: CancelCheck) -> Generator[None, None, tuple[str, ...]]:
        found = self.request.region_ids
        for search in self.searches:
            region_id = yield from search(frame, found, raise_if_cancelled)
            if region_id is None:
                return ()
            found += (region_id,)
        return found

    def passed(self, frame: Frame, now: float) -> None:
        """The image has been looked at, whatever came of it."""
        self.looked_at, self.last_look = frame.number, now
        # In step with its rate, unless it is behind by a whole look.
        self.next_look = max(self.next_look + self.terms.period, now)

    def take(self, moment: Moment) -> tuple[Look, Moment | None]:
        """The look at an image, and once it has come true the moment when it began to."""
        self.looks += 1
        stamp_ns, answer = moment.frame.stamp_ns, moment.answer
        self.probability = answer.probabilities[self.terms.expected]
        holds = self.probability >= self.terms.least_probability
        if not holds:
            self.since = None
        elif self.since is None or stamp_ns < self.since.frame.stamp_ns:  # the clock may have jumped back
            self.since = moment
        since = self.since
        look = Look(
            stamp_ns=stamp_ns,
            region_ids=self.region_ids,
            probabilities=answer.probabilities,
            holds=holds,
            since_ns=since.frame.stamp_ns if since else 0,
            looks=self.looks,
        )
        came_true = since is not None and stamp_ns - since.frame.stamp_ns >= self.terms.hold_ns
        return look, since if came_true else None

    def timed_out(self, blind: str) -> GarError:
        """What it ends with at its deadline. blind: why there is nothing to look at then; empty when there is."""
        expected = self.question.choices[self.terms.expected]
        least = self.terms.least_probability
        if self.looks:
            count = f"the last of {self.looks} looks" if self.looks > 1 else "the only look"
            seen = f"{count} gave it {self.probability:.2f}"
        elif not self.region_ids:
            seen = f"nothing was found for the words {list(self.request.words)}"
        else:
            seen = "there was no look: no new image showed all of its regions while the model was free"
        return GarError(
            ErrorCode.TIMED_OUT,
            f"expected '{expected}' with at least {least:g} within {self.terms.timeout:g} s, but {seen}"
            + (f"; at the end {blind}" if blind else ""),
        )


def choices_of(request: WatchRequest) -> tuple[str, ...]:
    """The choices, yes and no where the request names none."""
    return request.choices or YES_NO
