# SPDX-License-Identifier: Apache-2.0
"""Every source file says under which licence it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SOURCES = ("*.py", "*.sh", "*.cmake", "CMakeLists.txt", "Makefile", "*.in", ".ci/run")
NO_SOURCES = "requirements/"


def test_every_source_names_its_licence(checkout: Path) -> None:
    if not (checkout / ".git").exists():
        pytest.skip("no git checkout: its list of files says what is a source")
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=checkout, capture_output=True, text=True, check=True)
    sources = [name for name in listed.stdout.splitlines() if not name.startswith(NO_SOURCES)]
    assert len(sources) > 300
    heads = {name: (checkout / name).read_text().splitlines()[:2] for name in sources}
    assert [name for name, head in heads.items() if "# SPDX-License-Identifier: Apache-2.0" not in head] == []
