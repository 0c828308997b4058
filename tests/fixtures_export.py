# SPDX-License-Identifier: Apache-2.0
"""The golden checkpoints and what the exporter makes of them, once a session.

Read-only: tests that damage them copy them first.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from gar_ros.engine.engine import GarEngine
from tests.fixtures_golden import FindGolden

CHECKOUT = Path(__file__).resolve().parents[1]

ByName = Callable[[str], Path]
"""Name of a golden checkpoint -> folder."""

OpenEngine = Callable[[str], GarEngine]


@pytest.fixture(scope="session")
def golden_checkpoint(golden_path: FindGolden, tmp_path_factory: pytest.TempPathFactory) -> ByName:
    """Folder of the golden checkpoint of that name, complete: unpacked, with the tokenizer that all of them share."""

    @cache
    def find(name: str) -> Path:
        original, tokens = golden_path(name), golden_path("tiny_gar_1b")
        packed = original / "model.safetensors.gz"
        if not packed.exists():
            return original
        folder = tmp_path_factory.mktemp("checkpoints") / name
        shutil.copytree(original, folder, copy_function=shutil.copyfile)
        folder.chmod(0o755)
        (folder / "model.safetensors").write_bytes(gzip.decompress(packed.read_bytes()))
        (folder / packed.name).unlink()
        for file in ("tokenizer.json", "chat_template.jinja"):
            if not (folder / file).exists():
                shutil.copyfile(tokens / file, folder / file)
        return folder

    return find


@pytest.fixture(scope="session")
def golden_export(golden_checkpoint: ByName, tmp_path_factory: pytest.TempPathFactory) -> ByName:
    """Model folder of the golden checkpoint of that name."""
    return cache(lambda name: _exported(golden_checkpoint(name), tmp_path_factory))


@pytest.fixture(scope="session")
def checkpoint_1b(golden_checkpoint: ByName) -> Path:
    """The golden GAR-1B-shaped checkpoint folder."""
    return golden_checkpoint("tiny_gar_1b")


@pytest.fixture(scope="session")
def checkpoint_8b(golden_checkpoint: ByName) -> Path:
    """The golden GAR-8B-shaped checkpoint folder."""
    return golden_checkpoint("tiny_gar_8b_like")


@pytest.fixture(scope="session")
def golden_model_dir(golden_export: ByName) -> Path:
    """The GAR-1B-shaped checkpoint, exported."""
    return golden_export("tiny_gar_1b")


@pytest.fixture(scope="session")
def golden_fp16_model_dir(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GAR-1B-shaped checkpoint, exported in float16."""
    return _exported(checkpoint_1b, tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def golden_few_bits(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Bits of the decoder's weights -> the GAR-1B-shaped checkpoint, exported with them."""
    return {bits: _exported(checkpoint_1b, tmp_path_factory, f"int{bits}") for bits in (8, 4)}


@pytest.fixture(scope="session")
def golden_8b_model_dir(golden_export: ByName) -> Path:
    """The GAR-8B-shaped checkpoint, exported."""
    return golden_export("tiny_gar_8b_like")


@pytest.fixture(scope="session")
def golden_8b_fp16_model_dir(checkpoint_8b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GAR-8B-shaped checkpoint, exported in float16."""
    return _exported(checkpoint_8b, tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def tiny_fp16_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny, exported in float16."""
    return _exported(CHECKOUT / "models/gar-tiny/checkpoint", tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def golden_engine(golden_export: ByName) -> OpenEngine:
    """Engine of the golden checkpoint of that name, on one thread of the CPU."""
    return cache(lambda name: GarEngine.open(golden_export(name), "cpu", threads=1))


def _exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, precision: str = "fp32") -> Path:
    """Exports in a process of its own: torch's Triton crashes where ROS's libraries were loaded before."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed, which exports the golden checkpoints (make test)")
    out = tmp_path_factory.mktemp("exported") / checkpoint.name
    command = [sys.executable, "-m", "gar_ros.cli.main", "export", "--checkpoint", str(checkpoint), "--out", str(out)]
    command += ["--precision", precision]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return out
