# SPDX-License-Identifier: Apache-2.0
"""Large files are hashed once, and again as soon as anything about them changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from gar_ros.engine.model_dir import hash_cache as verified
from gar_ros.engine.model_dir.hash_cache import sha256_of, verified_sha256

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were read so far; files of 4 bytes are large here and records are the test's own."""
    names: list[str] = []

    def recording(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(verified, "sha256_of", recording)
    monkeypatch.setattr(verified, "RECORDED_BYTES", 4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return names


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    return path


def test_a_large_file_is_read_once(file: Path, hashed: list[str]) -> None:
    expected = sha256_of(file)
    assert [verified_sha256(file, DIGEST) for _ in range(3)] == [expected] * 3
    assert hashed == ["weights"]


def test_a_small_file_is_read_every_time(file: Path, hashed: list[str], tmp_path: Path) -> None:
    file.write_bytes(b"abc")
    verified_sha256(file, DIGEST)
    verified_sha256(file, DIGEST)
    assert hashed == ["weights"] * 2
    assert not (tmp_path / "cache").exists()


def test_other_content_of_the_same_size_and_date_is_noticed(file: Path, hashed: list[str]) -> None:
    before, found = file.stat(), verified_sha256(file, DIGEST)
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert verified_sha256(file, DIGEST) not in (found, "")
    assert len(hashed) == 2


def test_a_replaced_file_is_noticed(file: Path, hashed: list[str], tmp_path: Path) -> None:
    verified_sha256(file, DIGEST)
    other = tmp_path / "other"
    other.write_bytes(b"another")
    shutil.copystat(file, other)
    other.replace(file)
    assert verified_sha256(file, DIGEST) == sha256_of(file)
    assert len(hashed) == 2


def test_a_copy_is_read_itself(file: Path, hashed: list[str], tmp_path: Path) -> None:
    verified_sha256(file, DIGEST)
    verified_sha256(Path(shutil.copy2(file, tmp_path / "copy")), DIGEST)
    assert hashed == ["weights", "copy"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"sha256": 3}', b"\xff"])
def test_a_damaged_record_is_none(file: Path, hashed: list[str], tmp_path: Path, damage: bytes) -> None:
    expected = verified_sha256(file, DIGEST)
    (record,) = (tmp_path / "cache/gar_ros/verified").iterdir()
    record.write_bytes(damage)
    assert verified_sha256(file, DIGEST) == expected
    assert len(hashed) == 2


def test_a_record_of_another_hash_makes_no_good_file_a_bad_one(file: Path, hashed: list[str], tmp_path: Path) -> None:
    verified_sha256(file, DIGEST)
    (record,) = (tmp_path / "cache/gar_ros/verified").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "0" * 64}))
    assert verified_sha256(file, DIGEST) == DIGEST
    assert len(hashed) == 2


def test_a_record_without_a_file_behind_it_is_none(file: Path, hashed: list[str], tmp_path: Path) -> None:
    """A pipe would keep its reader waiting for ever."""
    verified_sha256(file, DIGEST)
    (record,) = (tmp_path / "cache/gar_ros/verified").iterdir()
    record.unlink()
    os.mkfifo(record)
    assert verified_sha256(file, DIGEST) == DIGEST


def test_without_a_place_for_records_files_are_read(
    file: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # a file: nothing can be made in it
    assert verified_sha256(file, DIGEST) == verified_sha256(file, DIGEST) == sha256_of(file)
    assert hashed == ["weights"] * 2


def test_for_a_user_without_a_home_files_are_read(file: Path, hashed: list[str], without_a_home: None) -> None:
    assert verified_sha256(file, DIGEST) == verified_sha256(file, DIGEST) == sha256_of(file)
    assert hashed == ["weights"] * 2
