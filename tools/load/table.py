# SPDX-License-Identifier: Apache-2.0
"""The findings of a run under load as Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tools.load.findings import GROUPS, Findings, Phase
from tools.soak.findings import CALLBACK_VALUE
from tools.soak.journal import Row

DROPPED_VALUE = "images dropped"


def table(findings: Findings) -> str:
    """CPU of every phase, then what requests took."""
    lines = [
        f"| phase | node, cores | model | without the model | {' | '.join(GROUPS)} |",
        f"| --- | --- | --- | --- | {' | '.join('---' for _ in GROUPS)} |",
    ]
    for phase in findings.phases:
        own = phase.cores - phase.model_cores
        groups = " | ".join(f"{phase.cpu[group] / phase.seconds:.3f}" for group in GROUPS)
        lines.append(f"| {phase.name} | {phase.cores:.2f} | {phase.model_cores:.2f} | **{own:.2f}** | {groups} |")
    lines.append("")
    for phase in findings.phases:
        lines += [f"{phase.name}, {phase.seconds:.0f} s: {'; '.join(_told(findings, phase))}.", ""]
    for phase in findings.phases:
        lines += _cases(phase.replies)
    return "\n".join(lines) + "\n"


def _told(findings: Findings, phase: Phase) -> list[str]:
    told = [_images(phase.samples), _memory(phase.samples)]
    if own := findings.own_share(phase):
        seconds, share = zip(*own, strict=True)
        whole = [row["seconds"] for row in phase.asked if row["event"] == "asked"]
        told.append(
            f"{len(own)} questions of one planner took {_percentiles(whole)}, besides the model "
            f"{_percentiles(seconds)} (median share {np.median(share):.0%})"
        )
    if phase.replies:
        bad = sum(row["bad"] for row in phase.replies) / len(phase.replies)
        ages = [row["age"] for row in phase.replies if row["case"] == "list" and row["code"] == "OK"]
        told.append(
            f"{len(phase.replies)} requests, {len(phase.replies) / phase.seconds:.1f} a second, {bad:.0%} of them bad, "
            f"took {_percentiles([row['seconds'] for row in phase.replies])}"
        )
        if ages:
            told.append(f"the newest frame was {np.median(ages) * 1e3:.0f} ms old, at most {max(ages) * 1e3:.0f} ms")
        jobs = [row["seconds"] for row in phase.jobs]
        models = sum(row["model"] for row in phase.jobs)
        told.append(
            f"the worker had {len(jobs)} jobs of {_percentiles(jobs)}, {models / sum(jobs):.0%} of it the model"
        )
    return told


def _images(samples: Sequence[Row]) -> str:
    if not samples:
        return "no samples"
    first, last = samples[0]["told"], samples[-1]["told"]
    seconds = max(samples[-1]["t"] - samples[0]["t"], 1e-9)
    came = int(last.get("images", 0)) - int(first.get("images", 0))
    dropped = int(last.get(DROPPED_VALUE, 0)) - int(first.get(DROPPED_VALUE, 0))
    return f"{came / seconds:.1f} images a second, {dropped} dropped, callbacks p99 {last.get(CALLBACK_VALUE)} ms"


def _memory(samples: Sequence[Row]) -> str:
    if not samples:
        return ""
    return f"memory {samples[0]['rss']:.0f} to {samples[-1]['rss']:.0f} MiB"


def _cases(replies: Sequence[Row]) -> list[str]:
    if not replies:
        return []
    lines = ["| request | number | replies | p50 | p95 |", "| --- | --- | --- | --- | --- |"]
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in replies:
        by_case["bad ones" if row["bad"] else row["case"]].append(row)
    for case, replied in by_case.items():
        codes = ", ".join(f"{code} {count}" for code, count in Counter(row["code"] for row in replied).most_common(4))
        median, late = np.percentile([row["seconds"] for row in replied], (50, 95))
        lines.append(f"| {case} | {len(replied)} | {codes} | {median * 1e3:.0f} ms | {late * 1e3:.0f} ms |")
    return lines


def _percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nothing"
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99)) * 1e3
    return f"p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms"
