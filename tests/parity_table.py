# SPDX-License-Identifier: Apache-2.0
"""The largest difference of each stage from the golden data, told at the end of every test run that compared them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

_KEY = pytest.StashKey["ParityTable"]()


@dataclass(frozen=True)
class Difference:
    """Of one stage in one case; a stage that must be equal counts its unequal values and allows none."""

    stage: str
    largest: float
    allowed: float

    @property
    def passed(self) -> bool:
        """NaN never passes."""
        return self.largest <= self.allowed


@dataclass
class ParityTable:
    """What was compared in this session, in order."""

    rows: dict[str, dict[str, tuple[Difference, str]]] = field(default_factory=dict)  # stage -> side -> worst, case
    cases: set[str] = field(default_factory=set)

    def add(self, side: str, case: str, difference: Difference) -> None:
        """side: what was compared with the golden data, such as "torch"."""
        self.cases.add(case)
        sides = self.rows.setdefault(difference.stage, {})
        if side not in sides or not difference.largest <= sides[side][0].largest:
            sides[side] = (difference, case)

    def lines(self) -> list[str]:
        """One a stage and side."""
        lines = []
        for stage, sides in self.rows.items():
            for side, (worst, case) in sides.items():
                told = "equal" if worst.largest == worst.allowed == 0 else f"{worst.largest:.1e}"
                allowed = "equal" if worst.allowed == 0 else f"{worst.allowed:.0e}"
                failed = "" if worst.passed else "  FAILED"
                lines.append(
                    f"{stage:28} {side:6} {told:>8} {allowed:>8}  {case if worst.largest else ''}{failed}".rstrip()
                )
        return lines


@pytest.fixture(scope="session")
def parity_table(request: pytest.FixtureRequest) -> ParityTable:
    """Takes the differences that the summary tells."""
    return request.config.stash.setdefault(_KEY, ParityTable())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """pytest's hook."""
    table = config.stash.get(_KEY, None)
    if table is None or not table.rows:
        return
    terminalreporter.section(f"largest differences from the released code in {len(table.cases)} golden cases")
    terminalreporter.write_line(f"{'stage':28} {'side':6} {'largest':>8} {'allowed':>8}  case")
    for line in table.lines():
        terminalreporter.write_line(line)
