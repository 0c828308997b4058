# SPDX-License-Identifier: Apache-2.0
"""Texts as rviz draws them in space: what its font has, where lines break, how large they are.

rviz2's font is Liberation Sans, without a character beyond ASCII. A line is as high as the marker's `scale.z`, and the
next one begins 0.005 m below it. A space is half as wide as the marker's `scale.x`.
"""

from __future__ import annotations

from gar_ros.view.text import without_marks, wrap

LINE_CHARACTERS = 18
MAX_LINES = 3
SPACE_WIDTH = 0.5
"""`scale.x` of a text marker in its `scale.z`: without it rviz makes spaces for texts of 1 m."""
_LINE_GAP = 0.005  # metres
_ELLIPSIS = "..."
_UNKNOWN = "?"
# Advance widths in line heights, rounded up: as rviz renders the font, at 24 pixels.
_WIDTHS = {
    0.26: " !',./:;I[\\]ijlft|",
    0.34: '()-`r{}"*',
    0.49: "^Jcksvxyz#$0123456789?L_abdeghnopqu",
    0.6: "+<=>~FTZ&ABEKPSVXY",
    0.71: "CDHNRUwGOQ",
    0.78: "Mm%",
}
_WIDEST = 0.89
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}


def wrapped(text: str) -> str:
    """`text` in at most 3 lines of at most 18 characters of rviz's font; one that is cut ends in "...".

    Accents are dropped, and "?" stands for any other character that the font lacks. Lines break at spaces; a word that
    is longer than a line breaks anywhere.
    """
    return "\n".join(wrap(_drawable(text), len, LINE_CHARACTERS, MAX_LINES, _ELLIPSIS))


def text_size(text: str, height: float) -> tuple[float, float]:
    """Width (at least that of the drawn text) and height of the lines of `text` in metres. height: `scale.z`."""
    lines = text.split("\n")
    width = max(sum(_WIDTH_OF.get(character, _WIDEST) for character in line) for line in lines)
    return width * height, len(lines) * height + (len(lines) - 1) * _LINE_GAP


def _drawable(text: str) -> str:
    letters = (c if c.isascii() else _UNKNOWN for c in without_marks(text))
    return "".join(c if c.isprintable() else " " for c in letters)
