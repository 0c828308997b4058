# SPDX-License-Identifier: Apache-2.0
"""Words that look like <Prompt1> but are another text: the model would answer about no region, and surely.

A text is looked at as a reader sees it: without invisible characters, accents and letter case, with HTML entities and
escapes as the characters that they stand for, and with brackets, digits and letters of other scripts as those that they
resemble. What can be an ordinary text, such as "prompt 1", stays allowed.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher

from gar_ros.errors import ErrorCode, GarError

REFERENCE = re.compile(r"<Prompt(0|[1-9][0-9]*)>")
"""How a text names a region."""

_ALIKE = (
    dict.fromkeys("‹«〈⟨《⟪≪˂ᐸ❬❮❰⧼", "<")
    | dict.fromkeys("›»〉⟩》⟫≫˃ᐳ❭❯❱⧽", ">")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"р": "p", "ρ": "p", "ᴘ": "p", "г": "r", "ᴦ": "r", "ο": "o", "о": "o", "м": "m", "т": "t", "τ": "t"}
)
_ESCAPED = re.compile(
    r"&(?:amp;)*(#0*[0-9]{1,7}|#x0*[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?|(?:%|\\x|\\u00|\\u\{)(3c|3e)\}?", re.IGNORECASE
)
_HAS_BRACKET = re.compile("[<>&%\\\\\\[{]")
_NAMED = "\0"  # stands for a region that is named rightly

_IN_BRACKETS = re.compile(r"<([^<>\0]{1,48})>")
_PATTERNS = (
    re.compile(r"<[^\w<>\0]{0,8}prompt(?:[\W_]{0,4}\d+)?"),  # never closed
    re.compile(r"[\[{][\W_]{0,4}prompts?[^\w\0]{0,4}\d+(?:[\W_]{0,4}[\]}])?"),
    re.compile(r"prompt[^\w\0]{0,4}\d+[/\\]?>"),  # never opened
    re.compile(r"prompts?[_#(\[-]{0,2}\d+"),  # glued: no word of prose
)
_NUMBER = re.compile(r"\d+")
_MEANT_TOO = {"region", "object", "obj", "mask", "instance", "segment", "box", "item", "p"}
_LIKENESS = 0.72  # of a misspelled "prompt": one or two letters left out, doubled, wrong or swapped


def check_spelling(text: str) -> None:
    """Raises GarError INVALID_REQUEST for a text with a word that looks like <Prompt1> but is spelled otherwise."""
    if text.isascii() and not _HAS_BRACKET.search(text) and "prompt" not in text.lower():
        return
    seen = list(_as_seen(text))
    skeleton = "".join(character for character, _, _ in seen)
    found = _first_lookalike(skeleton)
    if found is None:
        return
    start, end = found
    number = _number(skeleton[start:end])
    meant = "<Prompt0>, <Prompt1>, .." if number is None else f"<Prompt{number}>"
    got = text[seen[start][1] : seen[end - 1][2]]
    shown = got if got.isprintable() else got.encode("unicode_escape").decode()
    raise GarError(ErrorCode.INVALID_REQUEST, f"expected {meant}, got {shown}: name the regions in exactly this form")


def _as_seen(text: str) -> Iterator[tuple[str, int, int]]:
    """Characters that a reader sees, each with start and end of what stands for it in the text."""
    position = 0
    for named in REFERENCE.finditer(text):
        yield from _characters(text, position, named.start())
        yield _NAMED, named.start(), named.end()
        position = named.end()
    yield from _characters(text, position, len(text))


def _characters(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    while start < end:
        escaped = _ESCAPED.match(text, start, end)
        stop = escaped.end() if escaped else start + 1
        raw = text[start]
        if escaped:
            raw = chr(int(escaped[2], 16)) if escaped[2] else html.unescape(f"&{escaped[1]};")
            if raw.startswith("&"):  # no such entity
                raw, stop = text[start], start + 1
        for character in raw if raw.isascii() else unicodedata.normalize("NFKD", raw.casefold()):
            yield from ((one, start, stop) for one in _plain(character))
        start = stop


def _plain(character: str) -> str:
    """The character as ASCII where it resembles one; empty where it isn't seen."""
    if character.isascii():
        return character.lower() if character.isprintable() else " " if character.isspace() else ""
    if character in _ALIKE:
        return _ALIKE[character]
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf", "Cc"):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    return (
        " " if category.startswith("Z") or character in "\u115f\u1160\u3164" else character
    )  # the last: Hangul's fillers


def _first_lookalike(skeleton: str) -> tuple[int, int] | None:
    spans = [match.span() for match in _IN_BRACKETS.finditer(skeleton) if _means_a_region(match[1])]
    spans += [match.span() for pattern in _PATTERNS if (match := pattern.search(skeleton))]
    return min(spans, key=lambda span: (span[0], -span[1]), default=None)


def _means_a_region(inside: str) -> bool:
    """Whether what stands in angle brackets is meant to be PromptN."""
    letters = re.sub(r"[\W\d_]", "", inside)
    if letters.startswith("prompt"):
        return True
    has_number = _NUMBER.search(inside) is not None
    return has_number and (letters in _MEANT_TOO or SequenceMatcher(None, letters, "prompt").ratio() >= _LIKENESS)


def _number(lookalike: str) -> int | None:
    """The first number after the last letter, else the first one."""
    after = re.split(r"[^\W\d_]", lookalike)[-1]
    digits = _NUMBER.search(after) or _NUMBER.search(lookalike)
    return int(digits[0][:9]) if digits else None
