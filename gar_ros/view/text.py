# SPDX-License-Identifier: Apache-2.0
"""Fonts that have the characters of a text, and texts wrapped and cut to a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

ELLIPSIS = "…"
_BUILT_IN = ""  # Pillow's own font: the same on every machine, but ASCII only
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "LiberationSans-Regular.ttf")
_NO_CHARACTER = "\uffff"  # never assigned: every font draws its "missing" glyph for it
_MAX_CHARACTERS = 400  # more than any label shows; the rest of a text is ignored


def font_for(text: str, size: int) -> Font:
    """The font of `size` pixels that has most of the characters of `text`: Pillow's own or one of the system."""
    names = (_BUILT_IN,) if text.isascii() else (_BUILT_IN, *_SYSTEM_FONTS)
    fonts = [font for font in (_load(name, size) for name in names) if font is not None]
    return max(fonts, key=lambda font: sum(_draws(font, character) for character in set(text[:_MAX_CHARACTERS])))


def drawable(text: str, font: Font) -> str:
    """`text` on one line without control characters. Letters that the font lacks lose their accents ("é" to "e")."""
    text = " ".join("".join(c if c.isspace() or c.isprintable() else " " for c in text[:_MAX_CHARACTERS]).split())
    if text.isascii():
        return text
    return "".join(c if _draws(font, c) else without_marks(c) for c in text)


def without_marks(text: str) -> str:
    """`text` with plain letters for accented ones."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def wrap(text: str, length: Callable[[str], float], width: float, lines: int, ellipsis: str = ELLIPSIS) -> list[str]:
    """`text` in at most `lines` lines of at most `width`; the last one ends in `ellipsis` when the text is cut.

    length: returns the length of a text in the unit of `width`. Lines break at spaces; a word that is longer than a
    line breaks anywhere.
    """
    result: list[str] = []
    rest = text.strip()
    while rest and len(result) < lines - 1:
        end = _longest_prefix(rest, length, width)
        if end < len(rest) and " " in rest[: end + 1]:
            end = rest.rindex(" ", 0, end + 1)
        result.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest and lines > 0:
        result.append(shorten(rest, length, width, ellipsis))
    return result


def shorten(text: str, length: Callable[[str], float], width: float, ellipsis: str = ELLIPSIS) -> str:
    """`text`, or as much of its start as fits into `width` with `ellipsis` after it. length: see `wrap`."""
    if length(text) <= width:
        return text
    end = _longest_prefix(text, lambda part: length(part + ellipsis), width)
    return text[:end].rstrip() + ellipsis


def _longest_prefix(text: str, length: Callable[[str], float], width: float) -> int:
    """Number of characters, at least 1, of the longest prefix that fits into `width`. length: see `wrap`."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle]) <= width else (low, middle - 1)
    return low


@lru_cache(maxsize=64)
def _load(name: str, size: int) -> Font | None:
    """The named font, None when this machine doesn't have it."""
    try:
        if name == _BUILT_IN:
            return cast("Font", ImageFont.load_default(size))
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _draws(font: Font, character: str) -> bool:
    if character.isspace():
        return True
    glyph, missing = font.getmask(character), font.getmask(_NO_CHARACTER)
    return glyph.size != missing.size or bytes(glyph) != bytes(missing)
