# SPDX-License-Identifier: Apache-2.0
"""What is said of one part of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "none", "warning", "error"]
"""none: it isn't there and isn't needed. warning: something works worse than it could. error: nothing can serve."""


@dataclass(frozen=True)
class Check:
    """One line of the table. found: what was found. step: what to do, empty where nothing needs to be done."""

    part: str
    state: State
    found: str
    step: str = ""


def size(count: float) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
