# SPDX-License-Identifier: Apache-2.0
"""A model folder is used only when it is complete and untouched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.model_dir import folder as model_dir
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import (
    DECODER,
    EMBEDDINGS,
    MANIFEST,
    REPLAY,
    TOKENIZER,
    VISION,
    FileEntry,
    Manifest,
    PromptFormat,
    Sizes,
    TileRule,
    Tokens,
)
from gar_ros.errors import ErrorCode, GarError

SIZES = Sizes(tile=4, patch=2, grid=1, hidden=3, layers=1, heads=2, kv_heads=1, head_dim=2, vocab=8, max_positions=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose graphs are not graphs: enough for everything that is checked before they are loaded."""
    for name in (VISION, REPLAY, DECODER, TOKENIZER):
        (tmp_path / name).write_text(f"content of {name}")
    np.save(tmp_path / EMBEDDINGS, np.zeros((8, 3), np.float32))
    files = {path.name: FileEntry(sha256_of(path), path.stat().st_size) for path in tmp_path.iterdir()}
    manifest = Manifest(
        name="nothing",
        sizes=SIZES,
        tiles=TileRule("perception_lm", 4, True, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        tokens=Tokens(bos=0, eos=(1,), image=2, prompts=(3, 4), crops=(5, 6)),
        prompt=PromptFormat("", "", ""),
        roi_convention="correct",
        dtypes={},
        files=files,
        made_by={},
        source={},
    )
    (tmp_path / MANIFEST).write_text(manifest.to_json())
    return tmp_path


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / MANIFEST).read_text())
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data))


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(GarError) as caught:
        ModelDir.open(folder)
    assert caught.value.code == ErrorCode.BAD_MODEL
    assert str(folder) in caught.value.message
    for word in words:
        assert word in caught.value.message
    assert "\n" not in caught.value.message


def test_a_complete_folder_opens(folder: Path) -> None:
    opened = ModelDir.open(str(folder))
    assert opened.manifest.sizes == SIZES
    assert opened.embeddings().shape == (8, 3)
    assert opened.file(VISION).read_text() == "content of vision.onnx"


def test_the_manifest_survives_its_own_json(folder: Path) -> None:
    manifest = ModelDir.open(folder).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_notice_is_read_and_written_where_there_is_one(folder: Path) -> None:
    """Folders without one load, and exports without one also load where the field is not known yet."""
    assert ModelDir.open(folder).manifest.notice == ""
    assert "notice" not in json.loads((folder / MANIFEST).read_text())
    edit_manifest(folder, lambda data: data.update(notice="It knows mugs only."))
    manifest = ModelDir.open(folder).manifest
    assert manifest.notice == "It knows mugs only."
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("notice", ["\x1b[31mred", "\x9b31mred", "two\nlines", "\u202ethgir ot tfel", "x" * 501])
def test_a_notice_that_terminals_should_not_get_is_refused(folder: Path, notice: str) -> None:
    edit_manifest(folder, lambda data: data.update(notice=notice))
    with pytest.raises(GarError) as caught:
        ModelDir.open(folder)
    assert caught.value.message.endswith("'notice': expected one line of at most 500 printable characters")


def test_a_notice_may_be_long_and_in_any_language(folder: Path) -> None:
    edit_manifest(folder, lambda data: data.update(notice="Sólo tazas. 只有杯子 " + "x" * 480))
    assert len(ModelDir.open(folder).manifest.notice) <= 500


def test_what_is_no_model_folder(folder: Path) -> None:
    refused(folder / "absent", "found nothing")
    refused(folder / VISION, "found a file")
    (folder / "empty").mkdir()
    refused(folder / "empty", "no manifest.json")


@pytest.mark.parametrize("name", [VISION, EMBEDDINGS, TOKENIZER])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"{name} is missing")


def test_a_truncated_file_is_named(folder: Path) -> None:
    (folder / DECODER).write_text("content of decod")
    refused(folder, "decoder.onnx is truncated", "expected 23 bytes, got 16")


def test_a_longer_file_is_named(folder: Path) -> None:
    (folder / DECODER).write_text("content of decoder.onnx and more")
    refused(folder, "decoder.onnx is not the exported file")


def test_a_foreign_file_of_the_same_size_is_named(folder: Path) -> None:
    (folder / DECODER).write_text("CONTENT of decoder.onnx")
    refused(folder, "decoder.onnx is damaged or of another model", "SHA-256")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(format_version=2), ("'format_version': expected 1, got 2",)),
        (lambda data: data.pop("format"), ("gar export",)),
        (lambda data: data.update(colour="red"), ("'colour': unknown, expected only name, sizes, tiles,",)),
        (lambda data: data["sizes"].pop("tile"), ("'sizes.tile': missing",)),
        (lambda data: data["sizes"].update(tile="4"), ("'sizes.tile': expected a whole number above 0, got \"4\"",)),
        (lambda data: data["sizes"].update(tile=True), ("'sizes.tile': expected a whole number above 0, got true",)),
        (lambda data: data["sizes"].update(tile=0), ("'sizes.tile': expected a whole number above 0, got 0",)),
        (lambda data: data["sizes"].update(kv_heads=3), ("'sizes': expected heads to be a multiple of kv_heads",)),
        (lambda data: data["tiles"].update(rule="pad"), ('\'tiles.rule\': expected "perception_lm", got "pad"',)),
        (
            lambda data: data["tiles"].update(max_tiles=0),
            ("'tiles.max_tiles': expected a whole number above 0, got 0",),
        ),
        (lambda data: data["tiles"].update(mean=[0.5]), ("'tiles.mean': expected a list of length 3, got [0.5]",)),
        (lambda data: data["tiles"].update(std=[1, 0, 1]), ("'tiles.std[1]': expected a number above 0, got 0",)),
        (lambda data: data.update(roi_convention="other"), ('\'roi_convention\': expected "correct" or "released"',)),
        (lambda data: data["tokens"].update(image=8), ("ids below sizes.vocab",)),
        (lambda data: data["tokens"].update(eos=[]), ("'tokens.eos': expected a list of length >= 1, got []",)),
        (lambda data: data["dtypes"].update({VISION: "float64"}), ("'dtypes.vision.onnx': expected \"float32\" or",)),
        (lambda data: data["dtypes"].update({EMBEDDINGS: "int8"}), ("expected embeddings.npy to be one of",)),
        (lambda data: data["files"][REPLAY].pop("bytes"), ("'files.replay.onnx.bytes': missing",)),
        (lambda data: data["files"].pop(REPLAY), ("'files': expected", REPLAY)),
        (
            lambda data: data["files"].update({"../x": {"sha256": "0" * 64, "bytes": 0}}),
            ("plain file names, got '../x'",),
        ),
    ],
)
def test_a_manifest_that_cannot_be_served(
    folder: Path, change: Callable[[dict[str, Any]], object], words: tuple[str, ...]
) -> None:
    edit_manifest(folder, change)
    refused(folder, *words)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    refused(folder, MANIFEST)


@pytest.mark.parametrize(
    ("table", "words"), [(np.zeros((8, 3)), "got float64"), (np.zeros((3, 8), np.float32), "expected float32 (8, 3)")]
)
def test_embeddings_of_another_shape_or_type(folder: Path, table: np.ndarray[Any, Any], words: str) -> None:
    opened = ModelDir.open(folder)
    np.save(folder / EMBEDDINGS, table)
    with pytest.raises(GarError, match=re.escape(words)):
        opened.embeddings()


def test_a_tokenizer_that_is_none(folder: Path) -> None:
    with pytest.raises(GarError, match=r"tokenizer\.json can't be read"):
        ModelDir.open(folder).tokenizer()


def test_the_default_model_is_found_beside_the_checkout_then_in_prefixes(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_dir, "DEFAULT_MODEL", "models/none")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    with pytest.raises(GarError, match="no default model") as caught:
        default_model_dir()
    assert str(tmp_path / "first") in caught.value.message
    installed = tmp_path / "second/share/gar_ros/models/none"
    installed.mkdir(parents=True)
    (installed / MANIFEST).write_text((folder / MANIFEST).read_text())
    assert default_model_dir() == installed


def test_a_manifest_that_tells_no_tail_is_of_a_decoder_with_logits(folder: Path) -> None:
    """As those of earlier releases are."""
    assert "tail" not in json.loads((folder / MANIFEST).read_text())
    assert ModelDir.open(folder).manifest.tail == "logits"
    edit_manifest(folder, lambda data: data.update(tail="tokens"))
    assert ModelDir.open(folder).manifest.tail == "tokens"
    edit_manifest(folder, lambda data: data.update(tail="something"))
    with pytest.raises(GarError, match="tail"):
        ModelDir.open(folder)
