# SPDX-License-Identifier: Apache-2.0
"""What docs/reference.md and config/gar.yaml say about the node is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import reference


@pytest.mark.parametrize("table", ["topics", "services", "parameters", "error_codes"])
def test_reference_has_the_table_that_the_code_gives(checkout: Path, table: str) -> None:
    expected = getattr(reference, table)()
    hint = "run `python -m tools.reference tables` and paste its table"
    assert expected in (checkout / "docs/reference.md").read_text(), f"docs/reference.md differs; {hint}:\n{expected}"


def test_parameter_file_holds_every_parameter_with_its_default(checkout: Path) -> None:
    assert (checkout / "config/gar.yaml").read_text() == reference.config()
