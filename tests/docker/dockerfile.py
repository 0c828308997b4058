# SPDX-License-Identifier: Apache-2.0
"""Reads Dockerfiles, as far as those of docker/ go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals and what follows, on one line."""

    name: str
    value: str


def instructions(file: Path) -> Iterator[Instruction]:
    """All of a Dockerfile, in their order, comments left out."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, value = line.strip().partition(" ")
            yield Instruction(name.upper(), value.strip())


def stages(file: Path) -> dict[str, list[Instruction]]:
    """The instructions of each stage with those of the stages that it builds on, FROM lines included; by its name."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for instruction in instructions(file):
        if instruction.name == "FROM":
            base, _, name = instruction.value.partition(" AS ")
            current = [*found.get(base, []), instruction]
            found[name or base] = current
        else:
            current.append(instruction)
    return found


def base_images(file: Path) -> list[str]:
    """What the stages build on that is no stage of the file, with the defaults of its arguments filled in."""
    defaults = dict(i.value.split("=", 1) for i in instructions(file) if i.name == "ARG" and "=" in i.value)
    named = set(stages(file))
    froms = [i.value.partition(" AS ")[0] for i in instructions(file) if i.name == "FROM"]
    bases = [re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], value) for value in froms]
    return [base for base in bases if base not in named or ":" in base]
