# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import string

import pytest

from gar_ros.view.rviz_text import text_size, wrapped
from tests.rviz import ASPECT


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("3  no: Is 3 on top of 4?", ["3  no: Is 3 on top", "of 4?"]),
        ("5", ["5"]),
        ("12  supercalifragilistic", ["12", "supercalifragilist", "ic"]),
        (
            "1  a large black plain mug with a handle on the left side",
            ["1  a large black", "plain mug with a", "handle on the l..."],
        ),
        ("1  caf\u00e9 \u676f\u5b50\n2", ["1  cafe ?? 2"]),
    ],
)
def test_a_label_has_at_most_three_lines_of_18_characters_that_rviz_has(text: str, lines: list[str]) -> None:
    assert wrapped(text).split("\n") == lines


def test_a_text_is_never_drawn_wider_than_is_reckoned_with() -> None:
    printable = [c for c in string.printable if c.isprintable() and c != " "]
    assert set(ASPECT) == set(printable)
    for character in printable:
        width, height = text_size(character, 0.02)
        assert ASPECT[character] * 0.02 <= width <= ASPECT[character] * 0.02 + 0.002
        assert height == 0.02


def test_lines_are_half_a_centimetre_apart() -> None:
    assert text_size("a\nab\na", 0.01) == pytest.approx((0.0098, 0.04))
