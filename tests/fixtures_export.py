# SPDX-License-Identifier: Apache-2.0
"""Golden and small random checkpoints, and what the exporter makes of them, once a session.

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
"""Name of a checkpoint, or of a precision -> folder."""

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
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> ByName:
    """Folder of a small random checkpoint in the released format, see tests/export/small_checkpoint.py."""
    from tests.export.small_checkpoint import write_small_checkpoint  # it imports torch

    @cache
    def write(name: str) -> Path:
        folder = tmp_path_factory.mktemp("checkpoints") / name
        write_small_checkpoint(name, folder)
        return folder

    return write


@pytest.fixture(scope="session")
def checkpoint_1b(small_checkpoint: ByName) -> Path:
    """A small random checkpoint in GAR-1B's form."""
    return small_checkpoint("small_1b")


@pytest.fixture(scope="session")
def checkpoint_8b(small_checkpoint: ByName) -> Path:
    """A small random checkpoint in GAR-8B's form."""
    return small_checkpoint("small_8b")


@pytest.fixture(scope="session")
def exported_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b`."""
    return _exported(checkpoint_1b, tmp_path_factory)


@pytest.fixture(scope="session")
def static_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b` with a static KV cache of 4096 positions."""
    return _exported(checkpoint_1b, tmp_path_factory, "fp32", "--kv-cache", "static", "--max-positions", "4096")


@pytest.fixture(scope="session")
def fp16_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b` in float16."""
    return _exported(checkpoint_1b, tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def fp16_8b(checkpoint_8b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_8b` in float16."""
    return _exported(checkpoint_8b, tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def bf16_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b` in bfloat16."""
    return _exported(checkpoint_1b, tmp_path_factory, "bf16")


@pytest.fixture(scope="session")
def int4_gpu_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b` in float16 with int4 weights in the decoder, for a GPU."""
    return _exported(checkpoint_1b, tmp_path_factory, "int4-gpu")


@pytest.fixture(scope="session")
def wide_export(tmp_path_factory: pytest.TempPathFactory) -> ByName:
    """Model folder, in that precision, of a random checkpoint of GAR-1B's widths with two layers of each kind."""
    from tests.export.small_checkpoint import write_wide_checkpoint  # it imports torch

    folder = tmp_path_factory.mktemp("checkpoints") / "wide_1b"
    write_wide_checkpoint("1b", folder)
    return cache(lambda precision: _exported(folder, tmp_path_factory, precision))


@pytest.fixture(scope="session")
def fp16_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny in float16."""
    return _exported(CHECKOUT / "models/gar-tiny/checkpoint", tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def few_bits_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Bits of the decoder's weights -> model folder of `checkpoint_1b` with them."""
    return {bits: _exported(checkpoint_1b, tmp_path_factory, f"int{bits}") for bits in (8, 4)}


@pytest.fixture(scope="session")
def golden_engine(golden_export: ByName) -> OpenEngine:
    """Engine of the golden checkpoint of that name, on one thread of the CPU."""
    return cache(lambda name: GarEngine.open(golden_export(name), "cpu", threads=1))


def _exported(
    checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, precision: str = "fp32", *options: str
) -> Path:
    """Exports in a process of its own: torch's Triton crashes where ROS's libraries were loaded before."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed, which exports checkpoints (make test-all)")
    out = tmp_path_factory.mktemp("exported") / checkpoint.name
    command = [sys.executable, "-m", "gar_ros.cli.main", "export", "--checkpoint", str(checkpoint), "--out", str(out)]
    command += ["--precision", precision, *options]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return out
