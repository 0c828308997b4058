# SPDX-License-Identifier: Apache-2.0
"""The report as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from gar_ros.doctor.checks import Report
from gar_ros.doctor.facts import Facts

FORMAT = "gar_ros-doctor-1"
_WIDTH = 120


def as_text(report: Report) -> str:
    """The table, and the next step below it."""
    return "\n".join(_lines(report)) + "\n"


def as_json(report: Report, facts: Facts) -> str:
    """The report, and the facts by which it judges."""
    content: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(report), "facts": dataclasses.asdict(facts)}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _lines(report: Report) -> Iterator[str]:
    first = max(len(check.part) for check in report.checks)
    second = max(len(check.state) for check in report.checks)
    indent = " " * (first + second + 4)
    for check in report.checks:
        head = f"{check.part:{first}}  {check.state:{second}}  "
        text = " ".join("".join(one if one.isprintable() else " " for one in check.found).split())
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [head.rstrip()]
    yield ""
    yield f"serves: {'yes' if report.serves else 'no'}"
    yield f"next step: {report.step}"
