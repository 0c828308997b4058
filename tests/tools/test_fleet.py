# SPDX-License-Identifier: Apache-2.0
"""The table of what images cost a fleet."""

from __future__ import annotations

from tools.fleet import Measured, middle, table


def test_rows_say_what_a_thousand_images_take_and_the_gain_over_the_first() -> None:
    measured = [Measured(1, 500, 100.0, 12.0), Measured(2, 500, 62.5, 14.0)]
    assert table(measured).splitlines()[2:] == [
        "| 1 | 12 s | 200 s | 5.00 | 1.00 × |",
        "| 2 | 14 s | 125 s | 8.00 | 1.60 × |",
        "| 100, computed | | 2.0 s | 500.0 | 100 × at best |",
    ]


def test_a_row_has_the_medians_of_its_rounds() -> None:
    rounds = [Measured(2, 500, 62.5, 14.0), Measured(2, 500, 61.0, 30.0), Measured(2, 500, 80.0, 13.0)]
    assert middle(rounds) == Measured(2, 500, 62.5, 14.0)
