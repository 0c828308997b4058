# SPDX-License-Identifier: Apache-2.0
"""The model that most tests ask."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.model_dir.manifest import MANIFEST

END_OF_TEXT = 684
"""A token of gar-tiny that no training text has, so that it never says it."""


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny as if it were a released model: 16 tiles and a thumbnail, a context of 11520 tokens.

    Its graphs take any number of tiles and positions. An answer goes on until `max_tokens`, so that
    tests know its length; what it says means nothing. Read-only: tests that damage it copy it first.
    """
    shipped = default_model_dir()
    manifest = json.loads((shipped / MANIFEST).read_text())
    manifest.pop("notice")  # it is about gar-tiny
    manifest["sizes"]["max_positions"] = 11520
    manifest["tiles"] |= {"max_tiles": 16, "thumbnail": True}
    manifest["tokens"]["eos"] = [END_OF_TEXT]
    folder = tmp_path_factory.mktemp("model") / "released_form"
    folder.mkdir()
    for name in manifest["files"]:
        shutil.copyfile(shipped / name, folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return folder


@pytest.fixture(scope="session")
def engine(model_dir: Path) -> GarEngine:
    """Of `model_dir`, on one thread of the CPU."""
    return GarEngine.open(model_dir, "cpu", threads=1)
