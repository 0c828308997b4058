# SPDX-License-Identifier: Apache-2.0
"""Prints what docs/reference.md and config/gar.yaml repeat from the code: `python -m tools.reference tables|config`

tests/test_reference.py compares both files with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

from gar_ros.node.endpoints import PUBLICATIONS, SERVICES, SUBSCRIPTIONS, Endpoint
from gar_ros.settings import PARAMETERS

CHECKOUT = Path(__file__).resolve().parents[1]


def topics() -> str:
    """Table of the node's topics."""
    rows = [("in", endpoint) for endpoint in SUBSCRIPTIONS] + [("out", endpoint) for endpoint in PUBLICATIONS]
    return _table(("topic", "type", "in or out", "what"), [(_name(e), _type(e), way, e.meaning) for way, e in rows])


def services() -> str:
    """Table of the node's services."""
    return _table(("service", "type", "what"), [(_name(e), _type(e), e.meaning) for e in SERVICES])


def parameters() -> str:
    """Table of the node's parameters."""
    rows = [
        (f"`{name}`", f"`{_yaml(p.default)}`", _range(p), p.metadata["meaning"], p.metadata["changes"])
        for name, p in PARAMETERS.items()
    ]
    return _table(("parameter", "default", "range", "meaning", "changes"), rows)


def error_codes() -> str:
    """Table of the error codes, with the meanings that ErrorCode.msg gives."""
    constant = re.compile(r"^uint16 (\w+) = (\d+)\s+# (.+)$", re.MULTILINE)
    rows = constant.findall((CHECKOUT / "msg/ErrorCode.msg").read_text().replace("<PromptN>", "`<PromptN>`"))
    return _table(("error_code", "name", "meaning"), [(number, f"`{name}`", meaning) for name, number, meaning in rows])


def config() -> str:
    """Text of config/gar.yaml: every parameter with its default."""
    lines = ["# Parameters of the node `gar`, with their defaults.", "/**:", "  ros__parameters:"]
    opened = ""
    for full_name, parameter in PARAMETERS.items():
        group, _, name = full_name.rpartition(".")
        if group != opened:
            lines.append(f"    {group}:")
            opened = group
        indent = "      " if group else "    "
        values = f" [{_range(parameter)}]" if _range(parameter) else ""
        lines += [f"{indent}# {parameter.metadata['meaning']}{values}", f"{indent}{name}: {_yaml(parameter.default)}"]
    return "\n".join(lines) + "\n"


def _range(parameter: Field[Any]) -> str:
    metadata = parameter.metadata
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    limits = "{:.10g} to {:.10g}".format(*metadata["limits"]) if metadata["limits"] else ""
    return f"{limits} {metadata['unit']}".strip()


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{text}"' for text in value) + "]"
    return f'"{value}"' if value == "" else str(value)


def _name(endpoint: Endpoint) -> str:
    return f"`{endpoint.name}`"


def _type(endpoint: Endpoint) -> str:
    return f"`{endpoint.type_name}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """tables: the four of docs/reference.md; config: config/gar.yaml."""
    if list(arguments) == ["config"]:
        sys.stdout.write(config())
    elif list(arguments) == ["tables"]:
        sys.stdout.write("\n".join((topics(), services(), parameters(), error_codes())))
    else:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
