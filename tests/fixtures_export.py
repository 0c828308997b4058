"""Fixtures that need the exporter: import them in the conftest.py of the folder whose tests use them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden_model_dir(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden GAR-1B-shaped checkpoint, exported once. Read-only: tests that damage it copy it first."""
    pytest.importorskip("torch")
    from gar_ros.export.exporter import export_checkpoint

    out = tmp_path_factory.mktemp("exported") / "tiny_gar_1b"
    export_checkpoint(shared / "golden/tiny_gar_1b", out, progress=lambda line: None)
    return out
