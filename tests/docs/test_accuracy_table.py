# SPDX-License-Identifier: Apache-2.0
"""README.md says of gar-tiny's accuracy what the card of the shipped weights says."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {
    "attributes of one region": "attributes",
    "relations of two regions": "relations",
    "questions about three regions": "three_regions",
    "descriptions, word for word": "captions",
    'phrases such as "the small red mug", and other wordings': "phrases",
}
"""README's row, the card's."""


def test_the_rows_are_those_of_the_card(checkout: Path) -> None:
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    card = (checkout / "models/gar-tiny/README.md").read_text(encoding="utf-8")
    for words, group in ROWS.items():
        said = re.search(rf"^\| {re.escape(words)} \| ([\d.]+) % \| ([\d.]+) % \|$", readme, re.MULTILINE)
        measured = re.search(rf"^\| \*\*{group}\*\* \| ([\d.]+) \| [^|]* \| [\d.]+ \| ([\d.]+) \|", card, re.MULTILINE)
        assert said is not None, words
        assert measured is not None, group
        assert said.groups() == measured.groups(), words
