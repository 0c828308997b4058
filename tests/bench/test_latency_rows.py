# SPDX-License-Identifier: Apache-2.0
"""What the tables of `gar bench latency` make of measurements; all numbers can be checked by hand."""

from __future__ import annotations

import json
import math

import pytest

from gar_ros.bench.latency.curves import panels
from gar_ros.bench.latency.rows import Limits, Results, Row, tables
from gar_ros.bench.latency.sides import LIMITS, RELEASED
from gar_ros.bench.latency.text import as_json, markdown
from gar_ros.bench.latency.work import Case, Measured, work_of

CASE = Case("question", tiles=4, regions=1, tokens=3)
GIGA = 1_000_000_000
FIRST, FURTHER = "first question on a new frame, 3 tokens", "further question on the same regions, 3 tokens"


def a_pass(encoded: float = 20.0) -> Measured:
    """The released way: encoded after 20 s, read after 38 s, then two tokens a second."""
    marks = [encoded, encoded + 18, encoded + 18.5, encoded + 19]
    counts = {"tiles": 5.0, "tile_flops": 400e9, "prompt_tokens": 1616.0, "prefill_flops": 1800e9, "decoder_bytes": 4e9}
    return Measured({"pass": marks[-1]}, {"pass": marks}, {"pass": 8 * GIGA}, counts)


def our_answers(further: float = 1.0) -> Measured:
    """Ours: encoded after 10 s, read after 13 s, then ten tokens a second."""
    marks = {"first": [10.0, 13.0, 13.1, 13.2], "further": [0.8, 0.9, further], "others": [4.0, 7.0, 7.1, 7.2]}
    seconds = {"first": 13.2, "further": further, "choice": 0.5, "others": 7.2}
    counts = {"tiles": 5.0, "other_tiles": 2.0, "prompt_tokens": 1616.0, "decoder_bytes": 1e9}
    return Measured(seconds, marks, dict.fromkeys(seconds, 3 * GIGA), counts)


def rows_of(sides: dict[str, list[Measured]]) -> dict[str, Row]:
    results = Results({CASE: sides})
    (table,) = tables(results)
    return {row.what: row for row in table.rows}


@pytest.fixture
def rows() -> dict[str, Row]:
    limits = Measured(counts={"bandwidth": 20e9, "flops": 200e9})
    return rows_of({LIMITS: [limits], RELEASED: [a_pass()], "int4": [our_answers()]})


def test_every_question_costs_the_released_way_a_whole_pass(rows: dict[str, Row]) -> None:
    first, further = (
        rows["first question on a new frame, 3 tokens"],
        rows["further question on the same regions, 3 tokens"],
    )
    others = rows["question about other regions, 2 of 5 tiles encoded"]
    assert (first.released, further.released, others.released) == (39.0, 39.0, 39.0)
    assert (first.ours, further.ours, others.ours) == (13.2, 1.0, 7.2)
    assert further.ratio == 39.0
    assert first.peaks == (8 * GIGA, 3 * GIGA)


def test_the_released_way_chooses_by_a_letter_and_the_end(rows: dict[str, Row]) -> None:
    choice = rows["choice of 4"]
    assert (choice.released, choice.ours, choice.ratio) == (38.5, 0.5, 77.0)


def test_parts_are_told_beside_the_limit_of_matrices(rows: dict[str, Row]) -> None:
    encoding, reading = rows["of it: encoding the image"], rows["of it: reading the prompt"]
    assert (encoding.released, encoding.ours) == (20.0, 10.0)
    assert encoding.shares == (0.5, 1.0), "5 tiles of 400 GFLOP in 20 and 10 s, of 200 GFLOP/s"
    assert (reading.released, reading.ours) == (18.0, 3.0)
    assert reading.shares == (0.5, 3.0), "more than the limit in float32 is possible with fewer bits"


def test_tokens_are_told_beside_the_memory_bandwidth(rows: dict[str, Row]) -> None:
    token = rows["tokens a second after 1,616 tokens"]
    assert token.released == pytest.approx(2)
    assert token.ours == pytest.approx(10)
    assert token.ratio == pytest.approx(5)
    assert token.shares == pytest.approx((0.4, 0.5)), "2 x 4 GB/s and 10 x 1 GB/s of 20 GB/s"


def test_medians_of_the_rounds_count() -> None:
    ours = [our_answers(further) for further in (1.0, 9.0, 2.0)]
    rows = rows_of({RELEASED: [a_pass(), a_pass(encoded=30.0), a_pass(encoded=21.0)], "int4": ours})
    further = rows[FURTHER]
    assert (further.released, further.ours) == (40.0, 2.0)


def test_limits_are_those_of_the_faster_library_in_the_median() -> None:
    def told(*bandwidths: float) -> list[Measured]:
        return [Measured(counts={"bandwidth": one, "flops": 1.0}) for one in bandwidths]

    assert Results({CASE: {LIMITS: told(20, 90, 30), RELEASED: told(40)}}).limits() == Limits(40, 1.0)
    assert Results({CASE: {LIMITS: told(20, 90, 30)}}).limits() == Limits(30, 1.0)


def test_without_the_released_way_only_ours_is_told() -> None:
    rows = rows_of({"int4": [our_answers()]})
    assert all(math.isnan(row.released) and math.isnan(row.ratio) for row in rows.values())
    assert rows["choice of 4"].ours == 0.5


def test_many_answers_are_computed_from_the_passes_that_were_measured() -> None:
    case = Case("descriptions", tiles=4, regions=8, tokens=3)
    ours = Measured({"all": 78.0}, {"all": [9.0]}, {"all": GIGA}, {"answers": 8.0})
    results = Results({case: {RELEASED: [a_pass(), a_pass()], "int4": [ours]}})
    (table,) = tables(results)
    (row,) = table.rows
    assert (row.released, row.ours, row.ratio, row.passes) == (8 * 39.0, 78.0, 4.0, 2)
    text = markdown([table], results.limits(), {"cpu": "a machine"})
    assert "The released way is computed from 2 passes that were measured" in text


def test_models_stand_below_each_other() -> None:
    (table,) = tables(Results({CASE: {"int4": [our_answers()], "fp32": [our_answers()]}}))
    assert [(row.what, row.model) for row in table.rows[:3]] == [
        (FIRST, "int4"),
        (FIRST, "fp32"),
        (FURTHER, "int4"),
    ]


def test_json_has_no_numbers_that_json_lacks() -> None:
    results = Results({CASE: {"int4": [our_answers()]}})
    told = json.loads(json.dumps(as_json(tables(results), results.limits()), allow_nan=False))
    assert told["limits"] == {"bandwidth": None, "flops": None}
    assert told["rows"][0]["ours"] == 13.2
    assert told["rows"][0]["released"] is None


def test_curves_have_all_sides_from_left_to_right() -> None:
    small = Case("question", tiles=1, regions=1, tokens=3)
    results = Results({CASE: {RELEASED: [a_pass()], "int4": [our_answers()]}, small: {"int4": [our_answers()]}})
    by_tiles, _, questions, history, tokens = panels(results)
    assert by_tiles.curves == {RELEASED: [(5.0, 39.0)], "int4": [(5.0, 13.2), (5.0, 13.2)]}
    assert questions.curves[RELEASED][:2] == [(1, 39.0), (2, 78.0)]
    assert questions.curves["int4"][:2] == [(1, 13.2), (2, 14.2)]
    assert history.curves["int4"][0] == pytest.approx((1616, 100))
    assert tokens.curves["int4"] == [(1, 0.8), (2, 0.9), (3, 1.0)]


def test_regions_are_compared_where_most_numbers_of_them_were_measured() -> None:
    """One region with 1, 4 and 16 tiles, and five with 1 tile alone."""
    cases = [Case("question", tiles, regions, 3) for tiles, regions in ((1, 1), (4, 1), (16, 1), (1, 5))]
    _, by_regions, *_ = panels(Results({case: {"int4": [our_answers()]} for case in cases}))
    assert [regions for regions, _ in by_regions.curves["int4"]] == [1, 5]


def test_no_work_has_the_frame_of_another_one() -> None:
    cases = [CASE, Case("graph", 4, 1, 3), Case("question", 1, 1, 3)]
    assert len({work_of(case, number).frame for case in cases for number in range(3)}) == 9
