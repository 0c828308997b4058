# SPDX-License-Identifier: Apache-2.0
"""What the soak makes of its journals, told from a few rows that are written by hand."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tools.soak.cases import BAD, GOOD, MAX_AGE
from tools.soak.findings import CALLBACK_VALUE, Findings
from tools.soak.journal import Row
from tools.soak.picture import binned, drawn, nice_step
from tools.soak.table import table


def asks(t: float, case: str) -> Row:
    return {"t": t, "event": "asks", "case": case, "bad": False}


def replied(t: float, case: str, code: str = "OK", **values: Any) -> Row:
    given = {"bad": False, "seconds": 0.5, "age": 0.1, "message": "", "repeated": 0, "late": 0, **values}
    return {"t": t, "event": "replied", "case": case, "code": code, **given}


def killed(t: float, who: str) -> Row:
    return {"t": t, "event": "killed", "who": who, "why": "a planner"}


def sample(t: float, rss: float = 500.0, files: int = 20, threads: int = 40) -> Row:
    told = {"requests waiting": "2", CALLBACK_VALUE: "3.5"}
    return {"t": t, "rss": rss, "cpu": t, "files": files, "threads": threads, "told": told}


STEADY = [sample(float(t)) for t in range(60)]


def findings(
    *journal: Row, events: tuple[Row, ...] = (), samples: list[Row] | None = None, log: str = "", code: int = 0
) -> Findings:
    return Findings(1.0, code, {"planner0": list(journal)}, samples or STEADY, list(events), log, "")


def failed(found: Findings) -> set[str]:
    return {check.what for check in found.checks() if not check.held}


def test_a_soak_in_which_all_went_well() -> None:
    assert failed(findings(asks(1.0, "list"), replied(1.5, "list"))) == set()


def test_a_request_without_a_reply_is_found_unless_its_planner_was_killed() -> None:
    journal = (asks(1.0, "list"), asks(2.0, "list"), replied(2.5, "list"))
    assert failed(findings(*journal)) == {"requests without a reply"}
    assert failed(findings(*journal, events=(killed(1.2, "planner0"),))) == set()
    assert failed(findings(*journal, events=(killed(1.2, "planner1"),))) == {"requests without a reply"}


def test_a_reply_that_came_late_is_a_reply() -> None:
    given_up = replied(2.0, "no time", "TIMED_OUT", message="no reply from /gar/query_regions within the timeout")
    assert failed(findings(given_up)) == {"requests without a reply"}
    assert failed(findings(given_up, replied(3.0, "list", late=1))) == set()


def test_each_life_of_a_planner_counts_its_repeated_replies_anew() -> None:
    counts = (0, 2, 2, 0, 1)
    journal = [replied(float(t), "list", repeated=count) for t, count in enumerate(counts)]
    assert findings(*journal).repeated() == 3


@pytest.mark.parametrize("case", GOOD + BAD, ids=lambda case: case.name)
def test_each_kind_of_request_has_its_right_replies(case: Any) -> None:
    for code in case.right:
        assert findings(replied(1.0, case.name, code.name)).wrong() == []
    assert len(findings(replied(1.0, case.name, "INTERNAL_ERROR"), replied(2.0, case.name, "KeyError")).wrong()) == 2
    full = findings(replied(1.0, case.name, "QUEUE_FULL")).wrong()
    assert full == [] or not case.model


def test_a_stale_image_is_right_only_while_camera_or_detector_are_away() -> None:
    stale = replied(12.0, "open question", "STALE_FRAME")
    assert failed(findings(stale)) == {"stale images with camera and detector there"}
    back = {"t": 14.0, "event": "publishes", "who": "camera"}
    assert failed(findings(stale, events=(killed(11.0, "camera"), back))) == set()
    late = replied(30.0, "open question", "STALE_FRAME")
    assert failed(findings(late, events=(killed(11.0, "camera"), back))) != set()


def test_what_grows_is_found() -> None:
    growing = [sample(float(t), rss=500 + t, files=20 + t // 30, threads=40 + t // 30) for t in range(60)]
    grown = {"memory after warm-up", "open files of the node", "threads of the node"}
    assert failed(findings(samples=growing)) == grown
    warming = [sample(float(t), rss=500 + 10 * min(t, 10)) for t in range(60)]
    assert failed(findings(samples=warming)) == set(), "the first sixth is the warm-up"


def test_an_old_answer_a_traceback_and_an_end_with_an_error_are_found() -> None:
    old = replied(1.0, "list", age=MAX_AGE + 0.1)
    expected = {"oldest image that answered", "tracebacks in the node's log", "exit code of the node at the end"}
    assert failed(findings(old, log="Traceback (most recent call last)", code=1)) == expected


def test_the_table_counts_kinds_of_requests_and_replies() -> None:
    replies = (replied(1.0, "list"), replied(2.0, "list", "STALE_FRAME", bad=True))
    text = table(findings(*replies, events=(killed(0.5, "planner0"),)))
    assert "2 requests, 50% of them bad. Killed with SIGKILL: a planner 1 times." in text
    assert "| list | 2 | OK 1, STALE_FRAME 1 | 0.50 s | 0.50 s |" in text


def test_the_picture_has_its_panels() -> None:
    journal = [replied(float(t), "open question", seconds=t / 60) for t in range(60)]
    picture = Image.open(io.BytesIO(drawn(findings(*journal, events=(killed(30.0, "camera"),)))))
    assert picture.format == "PNG" and picture.width == 900


def test_latencies_are_summed_up_in_stretches_of_time() -> None:
    assert binned([(0.1, 1.0), (0.2, 3.0), (119.9, 5.0)], 120.0, 50) == [(0.5, 2.0), (119.5, 5.0)]


@pytest.mark.parametrize(("span", "step"), [(4.0, 1.0), (10.0, 2.0), (30.0, 5.0), (0.4, 0.1), (200.0, 50.0)])
def test_axes_have_round_numbers(span: float, step: float) -> None:
    assert nice_step(span) == pytest.approx(step)
