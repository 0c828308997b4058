# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of a model folder, it is used whole or refused in one line that says what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.external_data import external_files
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, MANIFEST, REPLAY, TOKENIZER, VISION, Manifest
from gar_ros.errors import ErrorCode, GarError

PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)
SHIPPED = default_model_dir()
FILES = [VISION, REPLAY, DECODER, EMBEDDINGS, TOKENIZER]
TEXT = (SHIPPED / MANIFEST).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of gar-tiny that a test may damage."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in [*FILES, MANIFEST]:
        shutil.copyfile(SHIPPED / name, folder / name)
    return folder


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(GarError) as caught:
        call()
    assert caught.value.code is ErrorCode.BAD_MODEL
    assert caught.value.message.isprintable()
    return caught.value.message


def refused(folder: Path) -> str:
    return refusal(lambda: GarEngine.open(folder, "cpu", threads=1))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / MANIFEST).read_text())
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data))


def enlist(folder: Path, name: str) -> None:
    """Has the manifest accept what is in the folder under this name."""
    content = (folder / name).read_bytes()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(folder, lambda data: data["files"].update({name: entry}))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link(target: str) -> Callable[[Path], None]:
    """What replaces a file by a link to `target`."""

    def replace(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return replace


def elsewhere(path: Path) -> None:
    """The very file, but outside."""
    path.replace(path.parent.parent / "outside")
    path.symlink_to("../outside")


DAMAGES: dict[Callable[[Path], object], str] = {
    flip: "is damaged or of another model: expected SHA-256",
    lambda path: os.truncate(path, 10): "is truncated: expected",
    lambda path: os.truncate(path, 0): "is truncated: expected",
    lambda path: path.write_bytes(path.read_bytes() + b"\0"): "is not the exported file",
    lambda path: path.unlink(): "is missing",
    pipe: "is no file",
    into_folder: "is no file",
    elsewhere: "is a link to",
    link("/dev/zero"): "is no file",
    link("/nowhere"): "is missing",
    circle: "",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(folder / name)
    message = refused(folder)
    assert name in message
    assert DAMAGES[damage] in message


@pytest.mark.parametrize("damage", [pipe, into_folder, circle, lambda path: os.truncate(path, 100)])
def test_a_manifest_that_is_no_file_or_cut_off(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder / MANIFEST)
    assert MANIFEST in refused(folder)


def test_a_manifest_of_gigabytes_is_not_read(folder: Path) -> None:
    os.truncate(folder / MANIFEST, 5 << 20)
    assert "manifest.json: expected at most 4194304 bytes" in refused(folder)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/b", "..", ".", "", "x\0y", "./vision.onnx", "x/"])
def test_names_of_files_are_plain(folder: Path, name: str) -> None:
    (folder.parent / "x").write_bytes(b"")
    entry = {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}
    edit(folder, lambda data: data["files"].update({name: entry}))
    assert "expected plain file names, got" in refused(folder)


def test_names_are_told_apart_by_case(folder: Path) -> None:
    edit(folder, lambda data: data["files"].update({"Vision.onnx": data["files"].pop(VISION)}))
    assert "'files': expected vision.onnx" in refused(folder)


@pytest.mark.parametrize("path", ["", "x\0y", "x" * 5000, "nowhere\n\x1b[31m", "file/below"])
def test_a_path_that_can_be_no_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / path)


def test_a_folder_installed_by_links_is_whole(folder: Path, tmp_path: Path) -> None:
    """As `colcon build --symlink-install` does it: every file is a link into the folder where the manifest lies."""
    linked = tmp_path / "share"
    linked.mkdir()
    for file in folder.iterdir():
        (linked / file.name).symlink_to(file)
    assert ModelDir.open(linked).graph(VISION) == linked / VISION
    (tmp_path / "alias").symlink_to(linked)
    assert ModelDir.open(tmp_path / "alias").manifest.name == "gar-tiny"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can read, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


UNREADABLE = """
import os, sys
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import GarError
GarEngine.open(sys.argv[2], "cpu", threads=1)  # Python itself may be where that user can't read
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
try:
    GarEngine.open(sys.argv[1], "cpu", threads=1)
except GarError as error:
    print(error.code.name, error.message)
else:
    print("open")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("name", [VISION, MANIFEST, "."])
def test_what_may_not_be_read(public: Path, name: str) -> None:
    """By a user without a name or a home."""
    folder = Path(shutil.copytree(SHIPPED, public / "model", ignore=shutil.ignore_patterns("checkpoint")))
    as_another = [sys.executable, "-c", UNREADABLE, str(folder), str(SHIPPED)]
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}

    def opened() -> str:
        ended = subprocess.run(as_another, capture_output=True, text=True, check=False, env=environment)
        assert ended.stderr == ""
        return ended.stdout

    assert opened() == "open\n"
    (folder / name).chmod(0)
    assert opened().startswith(f"BAD_MODEL model folder '{folder}': it can't be read: [Errno 13] Permission denied")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"tile": 288', '"tile": NaN'),
        ('"tile": 288', '"tile": 1e999'),
        ('"tile": 288', f'"tile": {"9" * 40}'),
        ('"tile": 288', f'"tile": {"9" * 5000}'),
        ('"tile": 288', f'"tile": {"[" * 900}{"]" * 900}'),
        ('"layers": 4', '"layers": 2147483647'),
        ('"max_tiles": 1', '"max_tiles": 2147483647'),
        ('"grid": 8', '"grid": 9'),
        ('"tile": 288', '"tile": 576'),
        ('"layers": 4', '"layers": 5'),
        ('"layers": 4', '"layers": 3'),
        ('"hidden": 192', '"hidden": 96'),
        ('"vocab": 701', '"vocab": 700'),
        ('"head_dim": 32', '"head_dim": 64'),
        ('"bos": 683', '"bos": -1'),
        ('"bos": 683', '"bos": 1e30'),
        ('"image": 685', '"image": 5'),
        ("0.5", "-Infinity"),
        ('"name": "gar-tiny"', '"name": "gar-tiny", "name": "other"'),
        ('"name": "gar-tiny"', '"name": "\\ud800"'),
        ('"name": "gar-tiny"', '"name": "two\\nlines"'),
        ('"name": "gar-tiny"', '"\\u001b[31m": "gar-tiny"'),
        ("{", "\ufeff{"),
        ("{", "[" * 100_000),
    ],
)
def test_a_manifest_that_says_what_can_not_be(folder: Path, old: str, new: str) -> None:
    assert old in TEXT
    (folder / MANIFEST).write_text(TEXT.replace(old, new, 1))
    assert len(refused(folder)) < 1000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@PROPERTY
@given(st.data())
def test_any_value_in_any_field_is_taken_or_refused(data: st.DataObject) -> None:
    manifest = json.loads(TEXT)
    inner: Any = manifest
    while isinstance(inner, dict) and inner:
        parent, key = inner, data.draw(st.sampled_from([*inner, "new"]))
        inner = inner.get(key)
        if data.draw(st.booleans()):
            break
    parent[key] = data.draw(VALUES)
    taken_or_refused(json.dumps(manifest))


@PROPERTY
@given(st.binary(max_size=60), st.integers(0, len(TEXT)), st.integers(0, 40))
def test_any_bytes_anywhere_are_taken_or_refused(noise: bytes, start: int, length: int) -> None:
    content = TEXT.encode()
    taken_or_refused((content[:start] + noise + content[start + length :]).decode("latin-1"))


def taken_or_refused(text: str) -> None:
    try:
        Manifest.from_json(text)
    except GarError as error:
        assert (error.code, error.message.isprintable()) == (ErrorCode.BAD_MODEL, True)  # noqa: PT017 taken is right, too


def with_weights_at(location: str) -> bytes:
    """A replay graph one of whose weights is in another file, as protobuf."""

    def field(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    entry = field(1, b"location") + field(2, location.encode())
    tensor = field(8, b"w") + field(13, entry)
    return (SHIPPED / REPLAY).read_bytes() + field(7, field(5, tensor))  # a second "graph" is merged into the first


@pytest.mark.parametrize("location", ["../x", "/etc/passwd", "unlisted.bin", "", "a/../vision.onnx"])
def test_weights_come_from_listed_files_only(folder: Path, location: str) -> None:
    (folder / REPLAY).write_bytes(with_weights_at(location))
    enlist(folder, REPLAY)
    assert f"replay.onnx takes weights from '{location}': expected a file that manifest.json lists" in refused(folder)


def test_locations_are_found_and_other_files_are_no_graphs(folder: Path) -> None:
    assert external_files(folder / DECODER) == set()
    (folder / REPLAY).write_bytes(with_weights_at("replay.onnx.data"))
    assert external_files(folder / REPLAY) == {"replay.onnx.data"}
    for content in (b"", b"\x3a\xff", b"\x80" * 20, b"\x3b", (folder / VISION).read_bytes()[:1000]):
        (folder / REPLAY).write_bytes(content)
        enlist(folder, REPLAY)
        assert "replay.onnx is no ONNX graph" in refused(folder)


@PROPERTY
@given(st.data())
def test_a_graph_with_any_byte_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray((SHIPPED / REPLAY).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    try:
        external_files(path)
    except ValueError as error:
        assert str(error)  # noqa: PT017 read is right, too


@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.savez(path.open("wb"), a=np.zeros(3)),
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'shape': (1,)}  "),
        lambda path: np.save(path, np.zeros((701, 192), np.float64)),
    ],
)
def test_a_table_of_another_kind_whose_hash_is_right(folder: Path, write: Callable[[Path], object]) -> None:
    write(folder / EMBEDDINGS)
    enlist(folder, EMBEDDINGS)
    assert EMBEDDINGS in refused(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff", b"[" * 10_000, b'{"model": {"type": "BPE"}}'])
def test_a_tokenizer_of_another_kind_whose_hash_is_right(folder: Path, content: bytes) -> None:
    (folder / TOKENIZER).write_bytes(content)
    enlist(folder, TOKENIZER)
    assert TOKENIZER in refused(folder)
