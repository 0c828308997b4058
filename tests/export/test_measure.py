# SPDX-License-Identifier: Apache-2.0
"""The measuring script: what it sees of a process and of a folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gar_export.measure import cost_of, decoder_speeds, disk_bytes, main, stretched
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.static_cache import Buffer

CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def test_the_largest_memory_of_a_process_is_seen() -> None:
    """Measured from a process that is small itself, as the command is."""
    child = f"data = b'1' * {400 * MIB}; del data"
    script = f"import sys; from gar_export.measure import cost_of; print(cost_of([sys.executable, '-c', {child!r}]))"
    measured = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    found = re.search(r"peak_bytes=(\d+)", measured.stdout)
    assert found
    assert 400 * MIB < int(found[1]) < 600 * MIB


def test_files_that_are_gone_at_the_end_count_as_disk(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(b"1" * MIB)
    script = "import os, time; open('big', 'wb').write(b'1' * 5000000); os.sync(); time.sleep(1); os.remove('big')"
    command = ["env", "-C", str(tmp_path), sys.executable, "-c", script]
    cost = cost_of(command, watched=tmp_path)
    assert 5_000_000 <= cost.disk_bytes < 6_000_000
    assert disk_bytes(tmp_path) < 2 * MIB


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        cost_of([sys.executable, "-c", "exit(3)"])


def test_decoders_are_compared_with_the_first(few_bits_1b: dict[int, Path]) -> None:
    models = [few_bits_1b[8], few_bits_1b[4]]
    speeds = decoder_speeds(models, prompt=8, steps=2, repeats=1, threads=1)
    assert [speed.model for speed in speeds] == models
    assert all(speed.prefill > 0 and speed.decode > 0 for speed in speeds)
    assert speeds[0].distance == 0
    assert speeds[1].distance > 0


def test_a_history_is_as_long_as_asked_for(few_bits_1b: dict[int, Path]) -> None:
    (speed,) = decoder_speeds([few_bits_1b[4]], prompt=130, steps=2, repeats=1, threads=1, history=300)
    assert speed.decode > 0
    settled, recent = np.arange(3, dtype=np.float32)[:, None], np.zeros((2, 1), np.float32)
    cache = KvCache(5, {"past_key_values.0.key": settled, "recent.0.key": recent}, 2)
    longer = stretched(cache, 10)
    assert (longer.length, longer.recent) == (10, 2)
    assert on_host(longer.values["past_key_values.0.key"]).ravel().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert longer.values["recent.0.key"] is recent


def test_a_history_in_a_static_cache_leaves_the_rest_of_its_buffer_empty() -> None:
    keys = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1)
    longer = stretched(Buffer({"past_key_values.0.key": keys}).beginning(3), 7)
    assert longer.length == 7
    assert on_host(longer.values["past_key_values.0.key"]).ravel().tolist() == [0, 1, 2, 0, 1, 2, 0, 0]
    assert keys.ravel().tolist() == list(range(8))


def test_a_folder_that_is_no_model_is_an_error_for_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", str(tmp_path)]) == 2
    assert "measure: model folder" in capsys.readouterr().err
