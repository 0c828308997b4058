# SPDX-License-Identifier: Apache-2.0
"""Links between the repository's Markdown files, and to its other files."""

from __future__ import annotations

from pathlib import Path

from tests.docs.markdown import anchors, markdown_files, relative_links


def test_links_are_those_outside_of_code() -> None:
    text = "[a](b.md#c) ![d](e.png)\n[f](https://g)\n`[h](i.md)`\n```sh\n[j](k.md)\n```\n"
    assert relative_links(text) == ["b.md#c", "e.png"]


def test_anchors_are_those_of_github() -> None:
    assert anchors("# Nav2's manager, `a.b` and C\n```sh\n# no heading\n```\n## On-board") == {
        "nav2s-manager-ab-and-c",
        "on-board",
    }


def test_every_relative_link_leads_somewhere(checkout: Path) -> None:
    broken = []
    for file in markdown_files(checkout):
        for link in relative_links(file.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = (file.parent / path) if path else file
            if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
                broken.append(f"{file.relative_to(checkout)}: {link}")
    assert not broken
