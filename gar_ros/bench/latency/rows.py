# SPDX-License-Identifier: Apache-2.0
"""From what the sides measured to the rows of the tables: medians over rounds, ratios, shares of a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from statistics import median

from gar_ros.bench.latency.sides import LIMITS, RELEASED
from gar_ros.bench.latency.work import CHOICE_TOKENS, CHOICES, KINDS, Case, Kind, Measured

NAN = float("nan")
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
    peaks: tuple[float, float] = (NAN, NAN)
    shares: tuple[float, float] = (NAN, NAN)
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
    """What the machine gives at most: bytes and floating-point operations a second."""

    bandwidth: float = NAN
    flops: float = NAN


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
        """By NumPy or by torch, whichever is faster in the median over their measurements."""
        found: list[tuple[float, float]] = []
        for side in (LIMITS, RELEASED):
            told = [one.counts for sides in self.found.values() for one in sides.get(side, ()) if "flops" in one.counts]
            if told:
                found.append((median(one["bandwidth"] for one in told), median(one["flops"] for one in told)))
        return Limits(*map(max, zip(*found, strict=True))) if found else Limits()


def models_of(sides: Iterable[str]) -> list[str]:
    """The sides that are models of ours."""
    return [side for side in sides if side not in (LIMITS, RELEASED)]


def tables(results: Results) -> list[Table]:
    """A table for each case that any model of ours was measured on."""
    limits = results.limits()
    made: list[Table] = []
    for case, sides in chain.from_iterable(map(results.of, KINDS)):
        models = models_of(sides)
        if models:
            rows_of = _question_rows if case.kind == "question" else _many_rows
            by_model = [list(rows_of(case, name, sides[name], sides.get(RELEASED, []), limits)) for name in models]
            rows = tuple(chain.from_iterable(zip(*by_model, strict=True)))
            made.append(Table(case, _about(case, sides[models[0]]), rows))
    return made


def _about(case: Case, ours: Rounds) -> str:
    regions, most = plural(case.regions, "region"), f"grid of at most {plural(case.tiles, 'tile')}"
    if case.kind == "descriptions":
        return f"Descriptions of {regions} of a new frame, {case.tokens} tokens each; {most}"
    if case.kind == "graph":
        asked = plural(round(ours[0].counts["answers"]), "question")
        return f"Scene graph of {regions} of a new frame, {asked}; {most}"
    tiles, tokens = (round(ours[0].counts[name]) for name in ("tiles", "prompt_tokens"))
    return f"Questions about {regions}: {plural(tiles, 'tile')} in all, {tokens:,} prompt tokens"


def plural(count: int, noun: str) -> str:
    """The count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _question_rows(case: Case, model: str, ours: Rounds, released: Rounds, limits: Limits) -> Iterator[Row]:
    yield from _answers(case, model, ours, released)
    yield from _parts(model, ours, released, limits)


def _answers(case: Case, model: str, ours: Rounds, released: Rounds) -> Iterator[Row]:
    """Whole answers. The released way takes the same pass for each; for a choice it ends that after a few tokens."""
    tiles, encoded = round(ours[0].counts["tiles"]), round(ours[0].counts["other_tiles"])
    peak = middle(released, lambda one: one.peaks["pass"])
    whole = middle(released, lambda one: one.marks["pass"][-1])
    chosen = middle(released, lambda one: one.marks["pass"][CHOICE_TOKENS])
    for what, of_released, step in (
        (f"first question on a new frame, {case.tokens} tokens", whole, "first"),
        (f"further question on the same regions, {case.tokens} tokens", whole, "further"),
        (f"choice of {len(CHOICES)}", chosen, "choice"),
        (f"question about other regions, {encoded} of {tiles} tiles encoded", whole, "others"),
    ):
        yield _answer(what, model, of_released, peak, ours, step)


def _answer(what: str, model: str, released: float, peak: float, ours: Rounds, step: str) -> Row:
    seconds, own_peak = middle(ours, lambda one: one.seconds[step]), middle(ours, lambda one: one.peaks[step])
    return Row(what, model, released, seconds, peaks=(peak, own_peak))


def _parts(model: str, ours: Rounds, released: Rounds, limits: Limits) -> Iterator[Row]:
    """The parts of a first question, beside the machine's limits."""
    counts, cost = ours[0].counts, released[0].counts if released else {}
    flops = counts["tiles"] * cost.get("tile_flops", NAN), cost.get("prefill_flops", NAN)
    for what, part, operations in (
        ("of it: encoding the image", _encoding, flops[0]),
        ("of it: reading the prompt", _prefill, flops[1]),
    ):
        seconds = middle(released, partial(part, "pass")), middle(ours, partial(part, "first"))
        shares = operations / seconds[0] / limits.flops, operations / seconds[1] / limits.flops
        yield Row(what, model, *seconds, shares=shares, limit="fp32 matrices")
    step = seconds_a_token(RELEASED, released), seconds_a_token(model, ours)
    read = cost.get("decoder_bytes", NAN), counts["decoder_bytes"]
    shares = read[0] / step[0] / limits.bandwidth, read[1] / step[1] / limits.bandwidth
    what = f"tokens a second after {round(counts['prompt_tokens']):,} tokens"
    yield Row(what, model, 1 / step[0], 1 / step[1], rate=True, shares=shares, limit="memory bandwidth")


def _many_rows(case: Case, model: str, ours: Rounds, released: Rounds, limits: Limits) -> Iterator[Row]:
    """One row: the released way needs a whole pass for each answer, of which one was measured a round."""
    answers = ours[0].counts["answers"]
    one_pass = middle(released, lambda one: one.marks["pass"][-1])
    peaks = middle(released, lambda one: one.peaks["pass"]), middle(ours, lambda one: one.peaks["all"])
    seconds = middle(ours, lambda one: one.seconds["all"])
    yield Row(f"{round(answers)} answers", model, answers * one_pass, seconds, peaks=peaks, passes=len(released))


def middle(rounds: Rounds, value: Callable[[Measured], float]) -> float:
    """The median of a value over the rounds, NaN without any."""
    return median(map(value, rounds)) if rounds else NAN


def _encoding(step: str, measured: Measured) -> float:
    """Seconds to the encoded image."""
    return measured.marks[step][0]


def _prefill(step: str, measured: Measured) -> float:
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
    return median(spans) if spans else NAN
