# SPDX-License-Identifier: Apache-2.0
"""Clients are told apart by the numbers of their requests."""

from __future__ import annotations

from gar_ros.node.api.callers import Callers


def test_requests_that_follow_each_other_are_of_one_client() -> None:
    callers = Callers()
    first = callers.client_of(5)
    assert [callers.client_of(number) for number in (6, 7, 9)] == [first] * 3  # 8 got lost


def test_one_that_floods_is_told_from_one_that_asks_now_and_then() -> None:
    callers = Callers()
    polite = callers.client_of(1)
    flooder = callers.client_of(1000)
    assert flooder == polite, "nobody could know yet"
    other = callers.client_of(2)
    assert other != flooder
    for number in range(1001, 1100):
        assert callers.client_of(number) == flooder
    assert callers.client_of(3) == other


def test_a_client_that_begins_is_a_new_one() -> None:
    callers = Callers()
    assert callers.client_of(1) != callers.client_of(1)


def test_those_who_are_silent_for_long_are_forgotten() -> None:
    callers = Callers()
    for _ in range(2000):
        callers.client_of(1)
    assert len(callers._last) == 256
