# SPDX-License-Identifier: Apache-2.0
"""How a parameter is declared: a dataclass field whose metadata say range, unit, meaning and when it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any

Value = bool | int | float | str | tuple[str, ...]

AT_START, UNCONFIGURED, ANY_TIME = "at start", "unconfigured", "any time"
"""When a parameter can get another value: only from file and command line, before configure (again), always."""


def parameter(
    default: Value,
    meaning: str,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    gone: Mapping[str, str] = MappingProxyType({}),
    changes: str = UNCONFIGURED,
    path: bool = False,
    gaps: bool = False,
    names: bool = False,
) -> Any:
    """limits: smallest and largest value. gone: what to do instead of choices that there are no more. changes: when
    another value is accepted. path: of a file or folder. gaps: whether texts of a list may be empty. names: a list of
    different names as topics can have them; one empty text stands for a list of none."""
    metadata = {
        "meaning": meaning,
        "unit": unit,
        "limits": limits,
        "choices": choices,
        "gone": gone,
        "changes": changes,
        "path": path,
        "gaps": gaps,
        "names": names,
    }
    return field(default=default, metadata=metadata)
