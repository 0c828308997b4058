# SPDX-License-Identifier: Apache-2.0
"""A soak's findings as Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from tools.soak.cases import BAD, GOOD
from tools.soak.disturb import TURNS
from tools.soak.findings import Findings
from tools.soak.journal import Row


def table(findings: Findings) -> str:
    """What must hold and what was; then every kind of request with its replies."""
    lines = [_summary(findings), "", "| what | to reach | reached | |", "| --- | --- | --- | --- |"]
    for check in findings.checks():
        verdict = "yes" if check.held else "**no**"
        lines.append(f"| {check.what} | {check.wanted} | {check.got.replace('|', '/')} | {verdict} |")
    lines += ["", "| request | number | replies | p50 | p99 |", "| --- | --- | --- | --- | --- |"]
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in findings.replies:
        by_case[row["case"]].append(row)
    for case in (*GOOD, *BAD):
        if replied := by_case.get(case.name):
            codes = Counter(row["code"] for row in replied)
            told = ", ".join(f"{code} {count}" for code, count in codes.most_common())
            seconds = np.percentile([row["seconds"] for row in replied], (50, 99))
            lines.append(f"| {case.name} | {len(replied)} | {told} | {seconds[0]:.2f} s | {seconds[1]:.2f} s |")
    return "\n".join(lines) + "\n"


def _summary(findings: Findings) -> str:
    """One paragraph."""
    replies = findings.replies
    bad = sum(row["bad"] for row in replies)
    kills = Counter(row["why"] for row in findings.events if row["event"] == "killed")
    told = ", ".join(f"{who} {kills[who]} times" for who in TURNS if kills[who])
    share = bad / len(replies) if replies else 0.0
    return (
        f"{findings.minutes:.1f} minutes, {len(replies)} requests, {share:.0%} of them bad. Killed with SIGKILL: "
        f"{told or 'nobody'}."
    )
