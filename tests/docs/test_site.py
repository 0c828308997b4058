# SPDX-License-Identifier: Apache-2.0
"""docs/ is one site, which Sphinx builds without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_site_builds_without_a_warning(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", checkout / "docs", tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    pages = {page.stem for page in (checkout / "docs").glob("*.md")}
    assert pages <= {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert "RegionClient" in (tmp_path / "site/api.html").read_text(encoding="utf-8")
