# SPDX-License-Identifier: Apache-2.0
"""`gar export` of a folder as it is published: several shards, its own files only, no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from gar_export.checkpoint import save_checkpoint
from gar_export.model import GarModel
from gar_ros.engine.model_dir.folder import ModelDir

OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
from gar_ros.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_shards_become_the_same_model_without_network_and_without_code_from_the_folder(
    checkpoint: Path, models: dict[str, GarModel], exported_1b: Path, checkout: Path, tmp_path: Path
) -> None:
    save_checkpoint(models["small_1b"], checkpoint, dtype=torch.bfloat16, shard_bytes=2_000_000)
    assert len(list(checkpoint.glob("model-*.safetensors"))) > 2
    for module in ("modeling_gar.py", "configuration_gar.py", "processing_gar.py"):  # the hub folders have them
        (checkpoint / module).write_text("raise SystemExit('code of the checkpoint was run')")
    words = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", OFFLINE, *words], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ModelDir.open(tmp_path / "out").manifest.files == ModelDir.open(exported_1b).manifest.files
