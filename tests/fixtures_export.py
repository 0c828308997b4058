"""The golden checkpoints and what the exporter makes of them, once a session.

Read-only: tests that damage them copy them first.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def checkpoint_1b(shared: Path) -> Path:
    """The golden GAR-1B-shaped checkpoint folder."""
    return shared / "golden/tiny_gar_1b"


@pytest.fixture(scope="session")
def checkpoint_8b(shared: Path, checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden GAR-8B-shaped checkpoint folder, unpacked, with the tokenizer and template that it shares."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny_gar_8b_like"
    shutil.copytree(shared / "golden/tiny_gar_8b_like", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    packed = folder / "model.safetensors.gz"
    (folder / "model.safetensors").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copyfile(checkpoint_1b / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def golden_model_dir(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GAR-1B-shaped checkpoint, exported."""
    return _exported(checkpoint_1b, tmp_path_factory)


@pytest.fixture(scope="session")
def golden_fp16_model_dir(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GAR-1B-shaped checkpoint, exported in float16."""
    return _exported(checkpoint_1b, tmp_path_factory, "fp16")


@pytest.fixture(scope="session")
def golden_few_bits(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Bits of the decoder's weights -> the GAR-1B-shaped checkpoint, exported with them."""
    return {bits: _exported(checkpoint_1b, tmp_path_factory, f"int{bits}") for bits in (8, 4)}


@pytest.fixture(scope="session")
def golden_8b_model_dir(checkpoint_8b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GAR-8B-shaped checkpoint, exported."""
    return _exported(checkpoint_8b, tmp_path_factory)


def _exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, precision: str = "fp32") -> Path:
    """Exports in a process of its own: torch's Triton crashes where ROS's libraries were loaded before."""
    if find_spec("torch") is None:
        pytest.skip("torch exports the golden checkpoints")
    out = tmp_path_factory.mktemp("exported") / checkpoint.name
    command = [sys.executable, "-m", "gar_ros.cli.main", "export", "--checkpoint", str(checkpoint), "--out", str(out)]
    command += ["--precision", precision]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return out
