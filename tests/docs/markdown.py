# SPDX-License-Identifier: Apache-2.0
"""What the tests read from the repository's Markdown: links, headings, shell blocks."""

from __future__ import annotations

import re
import shlex
from itertools import dropwhile
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def markdown_files(checkout: Path) -> list[Path]:
    """Every Markdown file that a reader meets."""
    patterns = ("*.md", "docs/*.md", "models/*/*.md", "export/**/*.md", ".github/**/*.md")
    return sorted(file for pattern in patterns for file in checkout.glob(pattern))


def prose(text: str) -> str:
    """The text without code blocks and inline code."""
    return re.sub(r"`[^`\n]+`", "`code`", _FENCE.sub("", text))


def relative_links(text: str) -> list[str]:
    """Targets of links and images that are no URLs, anchors included."""
    return [link for link in _LINK.findall(prose(text)) if not re.match(r"\w+:", link)]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def shell_commands(text: str) -> list[list[str]]:
    """The words of each command in the text's `sh` blocks, without comments, variables set before it, and `&`."""
    commands = []
    for language, block in _FENCE.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").replace("&&", "\n").splitlines():
                words = [word for word in shlex.split(line, comments=True) if word != "&"]
                commands.append(list(dropwhile(re.compile(r"\w+=").match, words)))
    return [words for words in commands if words]
