# SPDX-License-Identifier: Apache-2.0
"""Lost messages, counted by the numbers of those that came."""

from __future__ import annotations

import pytest

from gar_ros.node.inputs.sequence import Gaps


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([5, 6, 7], 0),
        ([5, 7, 10], 1 + 2),
        ([5, 1, 2], 0),  # the publisher was started again
        ([5, 9000, 9002], 1),  # another publisher
        ([5, 5, 6], 0),
        ([None, 5, None, 7], 1),
    ],
)
def test_numbers_that_are_missing_are_messages_that_were_lost(numbers: list[int | None], missing: int) -> None:
    gaps = Gaps()
    for number in numbers:
        gaps.saw(number)
    assert gaps.missing == missing
