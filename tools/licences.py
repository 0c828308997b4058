# SPDX-License-Identifier: Apache-2.0
"""Prints under which licence each run-time dependency is: `python -m tools.licences`. Fails unless all are permissive.

Run-time dependencies are the packages of requirements/runtime.lock, those of the installed ROS's lock that don't only
build the interfaces, and those that a user may add. The MPL counts as permissive here: it asks for changes to the
project's own files alone.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
PERMISSIVE = {
    "0BSD", "any-OSI", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT", "MIT-0", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Zlib",
}  # fmt: skip
"""SPDX ids; BSD where a project doesn't say which; any-OSI where it lets its users choose."""
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "zlib License": "Zlib",
}
"""SPDX id by what projects write instead."""
OPTIONAL = ("fsspec", "mcp", "openvino", "pyarrow", "ray")
"""Packages that a user may add to the node: the extras of pyproject.toml."""
NOT_LOADED = re.compile(
    r"catkin-pkg|cmake|docutils|empy|lark-parser|setuptools|wheel"
    r"|ros-((jazzy|kilted)-.*|ament-cmake.*|ament-package|rosidl-.*generators|python-cmake-module)"
)
"""Packages of ROS's locks that only build the interfaces, and those that have no files but ask for others."""


def run_time_packages() -> list[str]:
    """Names of those that are installed here; the locks' markers leave some out."""
    locked = dict.fromkeys(name for optional in OPTIONAL for name in _with_requirements(optional))
    ros = [lock.stem for lock in REQUIREMENTS.glob("ros-*.lock") if _installed(f"{lock.stem}-rclpy") is not None]
    for layer in ("runtime", *ros):
        lines = (REQUIREMENTS / f"{layer}.lock").read_text().splitlines()
        locked |= dict.fromkeys(re.split(r"[=<>; ]", line)[0] for line in lines if line and line[0] != "#")
    return sorted(name for name in locked if not NOT_LOADED.fullmatch(name) and _installed(name) is not None)


def _with_requirements(name: str) -> set[str]:
    """A package and what is installed of all that it requires."""
    wanted, found = [name], {name}
    while wanted:
        package = _installed(wanted.pop())
        for line in (package.requires or ()) if package is not None else ():
            required = re.split(r"[^\w.-]", line)[0].lower().replace("_", "-")
            if "extra ==" not in line and required not in found:
                found.add(required)
                wanted.append(required)
    return found


def licences(name: str) -> set[str]:
    """The SPDX ids under which an installed package says it is; what isn't known to `SPELLINGS` in its own words."""
    found = _installed(name)
    for text in _told(found) if found is not None else ():
        parts = [part.strip(" ()") for part in re.split(r"\b(?:AND|OR)\b", text)]
        return {SPELLINGS.get(part, part) for part in parts}
    return {"none told"}


def _told(found: Distribution) -> list[str]:
    """What the package says, the most exact first."""
    classifiers = found.metadata.get_all("Classifier") or []
    told = [*(found.metadata.get_all("License-Expression") or []), *(found.metadata.get_all("License") or [])]
    told.append(" AND ".join(text.split(" :: ")[-1] for text in classifiers if "License ::" in text))
    for file in found.files or ():
        if file.name not in ("package.xml", "LICENSE"):
            continue
        text = Path(str(file.locate())).read_text(errors="replace")
        told.append(" AND ".join(re.findall("<license[^>]*>([^<]+)<", text)))
        if re.match(r"\s*Apache License\s+Version 2\.0", text):
            told.append("Apache-2.0")
    return [text for text in told if text]


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Prints the table; returns 1 when a licence isn't permissive."""
    found = {name: licences(name) for name in run_time_packages()}
    for name, ids in found.items():
        print(f"{name:45} {' '.join(sorted(ids))}")
    wrong = [name for name, ids in found.items() if not ids <= PERMISSIVE]
    if wrong:
        sys.stderr.write(f"expected licences out of {', '.join(sorted(PERMISSIVE))}; others have: {', '.join(wrong)}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
