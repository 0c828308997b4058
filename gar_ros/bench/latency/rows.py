# SPDX-License-Identifier: Apache-2.0
"""From what the sides measured to the rows of the tables: medians over rounds, ratios, shares of a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from gar_ros.bench.latency.sides import LIMITS, RELEASED
from gar_ros.bench.latency.work import CHOICE_TOKENS, Case, Kind, Measured

_ANSWERS = ("first", "further", "others")
"""Steps of ours that generate an answer; each but the further one begins with the mark of the encoding's end."""

Rounds = Sequence[Measured]
"""What one side measured of one case, a round each."""


@dataclass(frozen=True)
class Row:
    """One line of a table, of one model.

    released, ours: seconds, or tokens a second where `rate`; NaN where that side was not measured. peaks: largest
    resident sets of the released way and of ours, bytes. shares: of the machine's limit that each side reached, 0..1;
    NaN where it is not known. limit: which one. passes: how many passes of the released way stand for all of them, 0
    where each was measured.
    """

    what: str
    model: str
    released: float
    ours: float
    rate: bool = False
    peaks: tuple[float, float] = (float("nan"), float("nan"))
    shares: tuple[float, float] = (float("nan"), float("nan"))
    limit: str = ""
    passes: int = 0

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.ours / self.released if self.rate else self.released / self.ours


@dataclass(frozen=True)
class Table:
    """The rows of one case. about: its tiles, regions and tokens, in words."""

    case: Case
    about: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Limits:
    """The most that the machine gave at any time: bytes and floating-point operations a second."""

    bandwidth: float = float("nan")
    flops: float = float("nan")


@dataclass
class Results:
    """All that was measured, by case and side."""

    found: dict[Case, dict[str, list[Measured]]] = field(default_factory=dict)

    def add(self, case: Case, side: str, measured: Measured) -> None:
        """One more round."""
        self.found.setdefault(case, {}).setdefault(side, []).append(measured)

    def of(self, kind: Kind) -> Iterator[tuple[Case, dict[str, list[Measured]]]]:
        """The cases of one kind, fewest tiles and regions first, each with what every side measured."""
        for case in sorted(self.found, key=lambda case: (case.tiles, case.regions)):
            if case.kind == kind:
                yield case, self.found[case]

    def limits(self) -> Limits:
        """The best over all rounds, by NumPy and by torch."""
        all_rounds = [
            one for sides in self.found.values() for name in (LIMITS, RELEASED) for one in sides.get(name, ())
        ]
        rounds = [one.counts for one in all_rounds if "flops" in one.counts]
        return Limits(*(max(one[name] for one in rounds) for name in ("bandwidth", "flops"))) if rounds else Limits()


def models_of(sides: Iterable[str]) -> list[str]:
    """The sides that are models of ours."""
    return [side for side in sides if side not in (LIMITS, RELEASED)]


def tables(results: Results) -> list[Table]:
    """A table for each case that any model of ours was measured on."""
    limits = results.limits()
    made: list[Table] = []
    for kind, rows_of in (("question", _question_rows), ("descriptions", _many_rows), ("graph", _many_rows)):
        for case, sides in results.of(kind):
            models = models_of(sides)
            if models:
                by_model = [rows_of(case, name, sides[name], sides.get(RELEASED, []), limits) for name in models]
                rows = [row for rows in zip(*by_model, strict=True) for row in rows]
                made.append(Table(case, _about(case, sides[models[0]]), tuple(rows)))
    return made


def _about(case: Case, ours: Rounds) -> str:
    number = f"{case.regions} region{'s' if case.regions > 1 else ''}"
    if case.kind == "descriptions":
        return f"Descriptions of {number} of a new frame, {case.tokens} tokens each; at most {case.tiles} tile(s)"
    if case.kind == "graph":
        asked = round(ours[0].counts["answers"])
        return f"Scene graph of {number} of a new frame, {asked} questions; at most {case.tiles} tile(s)"
    tiles, tokens = round(ours[0].counts["tiles"]), round(ours[0].counts["prompt_tokens"])
    return f"Questions about {number}: {tiles} tile(s) with the thumbnail, {tokens:,} prompt tokens"


def _question_rows(case: Case, model: str, ours: Rounds, released: Rounds, limits: Limits) -> Iterator[Row]:
    tokens, tiles = case.tokens, ours[0].counts["tiles"]
    prompt = ours[0].counts["prompt_tokens"]
    cost = released[0].counts if released else {}
    peak = middle(released, lambda one: one.peaks["pass"])
    whole = middle(released, lambda one: one.marks["pass"][-1])
    other_tiles = round(middle(ours, lambda one: one.counts["other_tiles"]))

    def row(what: str, released_seconds: float, step: str) -> Row:
        seconds = middle(ours, lambda one: one.seconds[step])
        return Row(what, model, released_seconds, seconds, peaks=(peak, middle(ours, lambda one: one.peaks[step])))

    yield row(f"first question on a new frame, {tokens} tokens", whole, "first")
    yield row(f"further question on the same regions, {tokens} tokens", whole, "further")
    yield row("choice of four", middle(released, lambda one: one.marks["pass"][CHOICE_TOKENS]), "choice")
    yield row(f"question about other regions, {other_tiles} of {round(tiles)} tiles encoded", whole, "others")

    def part(what: str, of_released: float, of_ours: float, work: float, limit: float, name: str) -> Row:
        return Row(what, model, of_released, of_ours, shares=_shares(work, of_released, of_ours, limit), limit=name)

    encode = [middle(released, lambda one: one.marks["pass"][0]), middle(ours, lambda one: one.marks["first"][0])]
    flops = tiles * cost.get("tile_flops", float("nan"))
    yield part("of it: encoding the image", *encode, flops, limits.flops, "fp32 matrices")
    prefill = [middle(released, lambda one: _prefill(one, "pass")), middle(ours, lambda one: _prefill(one, "first"))]
    flops = cost.get("prefill_flops", float("nan"))
    yield part("of it: reading the prompt", *prefill, flops, limits.flops, "fp32 matrices")
    step = [seconds_a_token(RELEASED, released), seconds_a_token(model, ours)]
    read = [cost.get("decoder_bytes", float("nan")), ours[0].counts["decoder_bytes"]]
    yield Row(
        f"tokens a second after {round(prompt):,} tokens",
        model,
        1 / step[0],
        1 / step[1],
        rate=True,
        shares=(read[0] / step[0] / limits.bandwidth, read[1] / step[1] / limits.bandwidth),
        limit="memory bandwidth",
    )


def _many_rows(case: Case, model: str, ours: Rounds, released: Rounds, limits: Limits) -> Iterator[Row]:
    """One row: the released way needs a whole pass for each answer, of which one was measured a round."""
    answers = ours[0].counts["answers"]
    one_pass = middle(released, lambda one: one.marks["pass"][-1])
    peaks = middle(released, lambda one: one.peaks["pass"]), middle(ours, lambda one: one.peaks["all"])
    seconds = middle(ours, lambda one: one.seconds["all"])
    yield Row(f"{round(answers)} answers", model, answers * one_pass, seconds, peaks=peaks, passes=len(released))


def middle(rounds: Rounds, value: Callable[[Measured], float]) -> float:
    """The median of a value over the rounds, NaN without any."""
    return median(map(value, rounds)) if rounds else float("nan")


def _prefill(measured: Measured, step: str) -> float:
    """Seconds from the encoded image to the first token."""
    encoded, first, *_ = measured.marks[step]
    return first - encoded


def seconds_a_token(side: str, rounds: Rounds) -> float:
    """The median over the rounds of the time between two tokens of an answer, NaN without any."""
    return middle(rounds, lambda one: _step(one, ("pass",) if side == RELEASED else _ANSWERS))


def _step(measured: Measured, answers: Sequence[str]) -> float:
    """The median of the seconds between two tokens, NaN for answers of one."""
    spans: list[float] = []
    for answer in answers:
        tokens = measured.marks[answer] if answer == "further" else measured.marks[answer][1:]
        spans += [later - earlier for earlier, later in pairwise(tokens)]
    return median(spans) if spans else float("nan")


def _shares(work: float, released: float, ours: float, limit: float) -> tuple[float, float]:
    return work / released / limit, work / ours / limit
