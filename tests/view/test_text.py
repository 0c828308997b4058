# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from gar_ros.view.text import ELLIPSIS, drawable, font_for, shorten, wrap


def test_lines_break_at_spaces() -> None:
    assert wrap("a small red mug", len, 7, 3) == ["a small", "red mug"]


def test_what_does_not_fit_is_cut_with_an_ellipsis() -> None:
    assert wrap("a small red striped mug on a table", len, 9, 2) == ["a small", "red stri" + ELLIPSIS]


def test_a_word_longer_than_a_line_breaks() -> None:
    assert wrap("abcdefgh ij", len, 5, 3) == ["abcde", "fgh", "ij"]


def test_no_lines_and_no_text_give_nothing() -> None:
    assert wrap("a mug", len, 10, 0) == []
    assert wrap("  ", len, 10, 2) == []


def test_a_width_below_one_character_still_ends() -> None:
    assert wrap("abc", len, 0, 2) == ["a", "b" + ELLIPSIS]


def test_a_text_that_fits_is_not_shortened() -> None:
    assert shorten("abcde", len, 5) == "abcde"
    assert shorten("abcdef", len, 5) == "abcd" + ELLIPSIS


def test_control_characters_and_line_breaks_become_spaces() -> None:
    assert drawable("a\nred\t\x00 mug\u202e", font_for("a", 16)) == "a red mug"


@pytest.mark.parametrize("text", ["żółty kubek", "Чашка", "咖啡杯"])
def test_other_scripts_never_turn_into_question_marks(text: str) -> None:
    assert "?" not in drawable(text, font_for(text, 16))


def test_letters_the_font_lacks_lose_their_accents_only() -> None:
    ascii_only = font_for("plain", 16)
    assert drawable("café ♥", ascii_only) == "cafe ♥"
