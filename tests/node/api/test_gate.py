# SPDX-License-Identifier: Apache-2.0
"""The gate that every request passes: who is served, what is refused, and with which words."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from rclpy.logging import get_logger

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.api.gate import Gate, Served, not_active
from gar_ros.serving.statistics import RequestStatistics
from gar_ros.srv import QueryRegions

SERVED: Any = Served(None, None, None, tracks=list, on_answer=print)  # type: ignore[arg-type]


@pytest.fixture
def statistics() -> RequestStatistics:
    return RequestStatistics()


@pytest.fixture
def gate(statistics: RequestStatistics) -> Gate:
    """A gate of a node whose camera is silent."""
    return Gate(statistics, lambda: "nobody publishes /image", get_logger("test"))


def raising(error: Exception) -> Any:
    def fill(served: Served, response: Any) -> None:
        raise error

    return fill


def reply(gate: Gate, error: Exception | None = None) -> tuple[ErrorCode, str]:
    """Code and message of the reply to a request that fails so."""
    response = QueryRegions.Response()
    gate.reply(raising(error) if error else lambda served, response: None, response)
    return ErrorCode(response.error_code), response.error_msg


def test_requests_are_served_until_the_lifetime_ends(gate: Gate) -> None:
    assert reply(gate) == (ErrorCode.NOT_ACTIVE, "the node is not active: it was not configured yet")
    with ExitStack() as active:
        gate.open(SERVED, active)
        assert reply(gate) == (ErrorCode.OK, "")
    assert reply(gate) == (ErrorCode.NOT_ACTIVE, "the node is not active: it was deactivated or shut down")


def test_a_closed_gate_refuses_with_what_it_was_told(gate: Gate) -> None:
    gate.open(SERVED, ExitStack())
    gate.close(not_active("it is shutting down"))
    assert reply(gate) == (ErrorCode.NOT_ACTIVE, "the node is not active: it is shutting down")


@pytest.mark.parametrize("code", [ErrorCode.NO_FRAME, ErrorCode.STALE_FRAME])
def test_a_missing_or_old_image_is_explained_by_the_trouble_of_the_inputs(gate: Gate, code: ErrorCode) -> None:
    gate.open(SERVED, ExitStack())
    assert reply(gate, GarError(code, "no image")) == (code, "no image: nobody publishes /image")


def test_other_errors_stay_as_they_are(gate: Gate) -> None:
    gate.open(SERVED, ExitStack())
    unknown = GarError(ErrorCode.UNKNOWN_REGION, "no region '9'")
    assert reply(gate, unknown) == (ErrorCode.UNKNOWN_REGION, "no region '9'")


def test_a_defect_is_told_and_counted(gate: Gate, statistics: RequestStatistics) -> None:
    gate.open(SERVED, ExitStack())
    assert reply(gate, KeyError("x")) == (ErrorCode.INTERNAL_ERROR, "KeyError: 'x'; see the node's log")
    assert statistics.outcomes() == {ErrorCode.INTERNAL_ERROR: 1}


@pytest.mark.parametrize("code", ErrorCode)
def test_what_a_namesake_may_know_or_be_is_explained_by_it(statistics: RequestStatistics, code: ErrorCode) -> None:
    gate = Gate(statistics, str, get_logger("test"), lambda: "another node has this name")
    gate.open(SERVED, ExitStack())
    explained = {ErrorCode.NOT_ACTIVE, ErrorCode.NO_FRAME, ErrorCode.UNKNOWN_REGION, ErrorCode.UNKNOWN_DIALOGUE}
    expected = "no such thing: another node has this name" if code in explained else "no such thing"
    assert reply(gate, GarError(code, "no such thing")) == (code, expected)
