# SPDX-License-Identifier: Apache-2.0
"""The messages that docs/troubleshooting.md explains are those that the sources print."""

from __future__ import annotations

import ast
import re
from pathlib import Path

BETWEEN = re.compile("…|; |: ")
"""What differs, and what joins a message and its parts."""
FOREIGN = {"No module named 'onnxruntime'", "Invalid parameter value …", "Trying to set parameter …"}
"""Printed by Python and rclpy."""


def printed(checkout: Path) -> str:
    """All text that is printed as it is: literals of the sources, with the parts of f-strings, and the scripts."""
    texts = [script.read_text(encoding="utf-8") for script in (checkout / "scripts").glob("*.sh")]
    for file in sorted((checkout / "gar_ros").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def explained(checkout: Path) -> list[str]:
    """The messages that are set in bold, one line each."""
    page = (checkout / "docs/troubleshooting.md").read_text(encoding="utf-8")
    bold = re.findall(r"^\*\*(.+?)\*\*", page, re.MULTILINE | re.DOTALL)
    bold += re.findall(r"(?:and |, )\*\*(`.+?`)\*\*", page, re.DOTALL)
    quoted = [quote for one in bold for quote in re.findall(r"`([^`]+)`", one)]
    return [" ".join(quote.split()) for quote in quoted]


def test_every_message_is_printed_by_the_sources(checkout: Path) -> None:
    known = printed(checkout)
    messages = explained(checkout)
    assert len(messages) > 40
    unknown = {
        message: piece
        for message in messages
        if message not in FOREIGN
        for piece in BETWEEN.split(message)
        if piece not in known
    }
    assert unknown == {}
