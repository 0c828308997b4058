# SPDX-License-Identifier: Apache-2.0
"""Which goals still owe somebody a result."""

from __future__ import annotations

import pytest

from gar_ros.node.api import goals
from gar_ros.node.api.goals import OwedResults


@pytest.fixture
def owed() -> OwedResults:
    return OwedResults()


def test_a_goal_is_owed_until_it_has_ended_and_was_asked_for(owed: OwedResults) -> None:
    assert not owed
    owed.accepted(b"one")
    owed.accepted(b"two")
    with owed.taking():
        owed.asked(b"one")
    owed.ended(b"one")
    assert owed, "two goes on"
    owed.ended(b"two")
    assert owed, "nobody has asked for two"
    with owed.taking():
        owed.asked(b"two")
    assert not owed


def test_a_client_may_ask_before_its_goal_has_begun(owed: OwedResults) -> None:
    with owed.taking():  # accepts the goal
        with owed.taking():
            owed.asked(b"one")
        owed.accepted(b"one")
    owed.ended(b"one")
    assert not owed


def test_while_requests_are_taken_a_goal_may_be_about_to_begin(owed: OwedResults) -> None:
    with owed.taking():
        assert owed
    assert not owed


def test_nobody_is_waited_for_who_never_asks(owed: OwedResults, monkeypatch: pytest.MonkeyPatch) -> None:
    owed.accepted(b"one")
    owed.ended(b"one")
    assert owed
    monkeypatch.setattr(goals, "ASKING_SECONDS", 0.0)
    assert not owed
