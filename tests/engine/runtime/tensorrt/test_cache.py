# SPDX-License-Identifier: Apache-2.0
"""An engine is found again by all that it was built from, or not at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gar_ros.engine.runtime.tensorrt.cache import EngineCache, EngineKey, default_cache_folder
from gar_ros.errors import ErrorCode, GarError

KEY = EngineKey("decoder.onnx", "ab" * 32, "tensorrt 10.3.0", "NVIDIA Orin, SM87", "float16", "x (1,)..(2,)")
ENGINE = bytes(range(256)) * 20


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    made = EngineCache(tmp_path / "engines")
    made.prepare(0)
    return made


def test_a_stored_engine_is_found(cache: EngineCache) -> None:
    path = cache.store(KEY, ENGINE)
    assert cache.find(KEY).path == path
    assert path.read_bytes() == ENGINE
    assert path.name.startswith("decoder-NVIDIA-Orin-SM87-")


def test_the_record_beside_it_names_the_key(cache: EngineCache) -> None:
    record = json.loads(cache.store(KEY, ENGINE).with_suffix(".json").read_text())
    assert record["key"] == dataclasses.asdict(KEY)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(EngineKey)])
def test_every_part_of_the_key_matters(cache: EngineCache, field: str) -> None:
    cache.store(KEY, ENGINE)
    other = dataclasses.replace(KEY, **{field: getattr(KEY, field) + "1"})
    found = cache.find(other)
    assert found.path is None
    assert found.reason.startswith("no engine of decoder.onnx")
    assert other.file_name != KEY.file_name


def test_a_similar_engine_is_named_with_what_is_different(cache: EngineCache) -> None:
    """Among them those of earlier releases, which nobody finds any more and which may be deleted."""
    path = cache.store(KEY, ENGINE)
    other = dataclasses.replace(KEY, gpu="NVIDIA Orin, SM87, 8 multiprocessors, 8 GiB", builder="tensorrt 10.16.0")
    assert cache.find(other).reason.endswith(f"; '{path.name}' is for another builder and gpu")
    record = json.loads(path.with_suffix(".json").read_text())
    record["key"] |= {"options": "workspace 2 GiB"}
    path.with_suffix(".json").write_text(json.dumps(record))
    assert cache.find(other).reason.endswith(f"; '{path.name}' is for another builder and gpu")
    (cache.folder / "other.json").write_text("no record")
    assert "; '" not in cache.find(dataclasses.replace(other, graph_sha256="cd" * 32)).reason


def test_both_engines_are_kept_when_the_key_changes(cache: EngineCache) -> None:
    other = dataclasses.replace(KEY, builder="tensorrt 10.13.0")
    first, second = cache.store(KEY, ENGINE), cache.store(other, ENGINE[::-1])
    assert (cache.find(KEY).path, cache.find(other).path) == (first, second)


def cut(path: Path) -> None:
    path.write_bytes(ENGINE[:-1])


def flip(path: Path) -> None:
    path.write_bytes(bytes([ENGINE[0] ^ 1]) + ENGINE[1:])


def lose_engine(path: Path) -> None:
    path.unlink()


def lose_record(path: Path) -> None:
    path.with_suffix(".json").unlink()


def cut_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(record.read_text()[:50])


def swap_record(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(record.read_text().replace("10.3.0", "10.4.0"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "is damaged: expected 5120 bytes, got 5119"),
        (flip, "is damaged: its SHA-256"),
        (lose_engine, "can't be read"),
        (lose_record, "can't be read"),
        (cut_record, "is not the record of an engine: is not JSON"),
        (swap_record, "is not the record of this engine"),
    ],
)
def test_a_damaged_engine_is_not_used_and_can_be_replaced(cache: EngineCache, damage: object, reason: str) -> None:
    damage(cache.store(KEY, ENGINE))  # type: ignore[operator]
    found = cache.find(KEY)
    assert found.path is None
    assert reason in found.reason
    assert cache.find(KEY).path is None
    cache.store(KEY, ENGINE)
    assert cache.find(KEY).path is not None


def test_a_disk_that_is_full_at_the_end_is_told_and_no_engine_stays(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GarError, match="No space left") as caught:
        cache.store(KEY, ENGINE)
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    assert list(cache.folder.iterdir()) == []


def test_what_a_killed_build_has_left_is_deleted_and_what_another_one_writes_is_not(cache: EngineCache) -> None:
    killed = (
        "import os, signal, sys; from pathlib import Path; from gar_ros import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(Path(sys.argv[1]), b'half')"
    )
    subprocess.run([sys.executable, "-c", killed, str(cache.folder / "a.engine")], check=False)
    assert len(list(cache.folder.iterdir())) == 1
    writing = cache.folder / f".b.engine.{os.getpid()}.part"
    foreign = [cache.folder / name for name in (".foo.part", ".foo.bar.part")]
    for path in (writing, *foreign):
        path.write_bytes(b"half")
    cache.prepare(0)
    assert set(cache.folder.iterdir()) == {writing, *foreign}


def test_too_little_room_is_told_before_anything_is_built(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    cache.prepare(1_000_000)
    with pytest.raises(GarError, match="about 3 MB are needed and 1 MB are free"):
        cache.prepare(3_000_000)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file/engines", Path("/proc/engines")):
        with pytest.raises(GarError, match="expected a folder for engines that can be written") as caught:
            EngineCache(folder).prepare(0)
        assert caught.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("full_at", [1, 2])
def test_a_full_disk_leaves_no_engine_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    """While the engine is written, and while its record is."""
    written = iter(range(1, 10))

    def sync(file: int) -> None:
        if next(written) == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    cache, key = EngineCache(tmp_path), KEY
    cache.store(key, b"first")
    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(GarError, match=r"has room, but .*No space left on device") as caught:
        cache.store(key, b"other")
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    assert cache.find(key).path is None
    assert not list(tmp_path.glob(".*"))
    monkeypatch.undo()
    assert cache.find(key).path is None
    assert cache.store(key, b"other").read_bytes() == b"other"


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "gar_ros/engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says its specification
    monkeypatch.setenv("HOME", "/home/robot")
    assert default_cache_folder() == Path("/home/robot/.cache/gar_ros/engines")


def test_a_user_without_a_home_must_name_the_folder(without_a_home: None) -> None:
    with pytest.raises(GarError, match="expected a folder for engines, but this user has no home folder") as caught:
        default_cache_folder()
    assert caught.value.code == ErrorCode.INVALID_REQUEST
