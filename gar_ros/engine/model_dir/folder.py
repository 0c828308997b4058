# SPDX-License-Identifier: Apache-2.0
"""An exported model folder: opened only when it is complete and every file is the one its manifest names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gar_ros.engine.model_dir.external_data import external_files
from gar_ros.engine.model_dir.hash_cache import verified_sha256
from gar_ros.engine.model_dir.manifest import (
    DECODER,
    EMBEDDINGS,
    MANIFEST,
    NOTICE_FORM,
    REPLAY,
    TOKENIZER,
    VISION,
    FileEntry,
    Manifest,
    is_showable,
)
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import shipped_paths
from gar_ros.json_reader import printable

DEFAULT_MODEL = "models/gar-tiny"
_REQUIRED = (VISION, REPLAY, DECODER, EMBEDDINGS, TOKENIZER)
_MOST_LAYERS, _MOST_TILES = 1024, 256  # beyond what any model has; what is made for each of them stays small
_LARGEST_MANIFEST = 4 << 20  # bytes
_TABLE_TYPES = {"float32", "float16"}


@dataclass(frozen=True)
class ModelDir:
    """A checked folder; build it with `open`."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> ModelDir:
        """Reads the manifest and checks presence, size and SHA-256 of every file (large ones: see hash_cache.py).

        Raises GarError BAD_MODEL naming the file and what is wrong with it.
        """
        folder = Path(path)
        try:
            manifest = _read_manifest(folder)
            _check_values(folder, manifest)
            allowed = {folder.resolve(), (folder / MANIFEST).resolve().parent}
            for name, entry in manifest.files.items():
                _check_file(folder, name, entry, allowed)
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise _bad(folder, f"it can't be read: {error}") from error
        return cls(folder, manifest)

    def file(self, name: str) -> Path:
        """Path of a file of the manifest."""
        return self.path / name

    def graph(self, name: str) -> Path:
        """Path of a graph, which takes weights only from files whose hashes were checked: raises GarError BAD_MODEL for
        a graph with others, and for a file that is no graph."""
        try:
            locations = external_files(self.file(name))
        except (OSError, ValueError) as error:
            raise _bad(self.path, f"{name} is no ONNX graph: {error}") from error
        if unlisted := sorted(locations - self.manifest.files.keys()):
            raise _bad(self.path, f"{name} takes weights from '{unlisted[0]}': expected a file that {MANIFEST} lists")
        return self.file(name)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; raises GarError BAD_MODEL when the file holds none."""
        try:
            return Tokenizer.from_file(str(self.file(TOKENIZER)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the tokenizers library raises nothing more precise; a panic is no Exception
            raise _bad(self.path, f"{TOKENIZER} can't be read: {error}") from error

    def embeddings(self) -> NDArray[np.floating]:
        """The token embeddings (vocab, hidden), memory-mapped, of the type in the manifest's `dtypes` (float32 where it
        names none, as exports before float16 did). Raises GarError BAD_MODEL for another array.
        """
        try:
            table: NDArray[np.floating] = np.load(self.file(EMBEDDINGS), mmap_mode="r", allow_pickle=False)
        except Exception as error:  # of a header that only looks like one, anything
            raise _bad(self.path, f"{EMBEDDINGS} can't be read: {error}") from error
        expected = (self.manifest.sizes.vocab, self.manifest.sizes.hidden)
        dtype = _table_type(self.manifest)
        if not isinstance(table, np.ndarray) or table.shape != expected or table.dtype != dtype:
            got = f"{table.dtype} {table.shape}" if isinstance(table, np.ndarray) else "an archive of arrays"
            raise _bad(self.path, f"{EMBEDDINGS}: expected {dtype} {expected}, got {got}")
        return table


def _bad(folder: Path, message: str) -> GarError:
    return GarError(ErrorCode.BAD_MODEL, printable(f"model folder '{folder}': {message}"))


def _read_manifest(folder: Path) -> Manifest:
    if "\0" in str(folder):
        raise _bad(folder, "expected a path without NUL")
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise _bad(folder, f"expected the folder of an exported model, found {found}")
    path = folder / MANIFEST
    if not path.exists():
        raise _bad(folder, f"it has no {MANIFEST}: not a folder made by `gar export`")
    if not path.is_file():  # opening a pipe could wait for ever
        raise _bad(folder, f"{MANIFEST} is no file")
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise _bad(folder, f"{MANIFEST}: expected at most {_LARGEST_MANIFEST} bytes, got {path.stat().st_size}")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise _bad(folder, f"{MANIFEST} can't be read: {error}") from error
    except GarError as error:
        raise _bad(folder, error.message) from error


def _check_values(folder: Path, manifest: Manifest) -> None:
    """Refuses what each field's declaration allows and what together can't be served."""
    sizes, tokens = manifest.sizes, manifest.tokens
    ids = (tokens.bos, tokens.image, *tokens.eos, *tokens.prompts, *tokens.crops)
    expectations = {
        "'sizes': expected heads to be a multiple of kv_heads": sizes.heads % sizes.kv_heads == 0,
        f"'sizes.layers': expected at most {_MOST_LAYERS}": sizes.layers <= _MOST_LAYERS,
        f"'tiles.max_tiles': expected at most {_MOST_TILES}": manifest.tiles.max_tiles <= _MOST_TILES,
        "'tokens': expected ids below sizes.vocab": all(0 <= id < sizes.vocab for id in ids),
        f"'dtypes': expected {EMBEDDINGS} to be one of {sorted(_TABLE_TYPES)}": _table_type(manifest) in _TABLE_TYPES,
        f"'files': expected {', '.join(_REQUIRED)}": set(_REQUIRED) <= set(manifest.files),
        f"'notice': expected {NOTICE_FORM}": is_showable(manifest.notice),
        f"'name': expected {NOTICE_FORM}": is_showable(manifest.name),
        "'made_by' and 'source': expected printable texts": all(
            text.isprintable()
            for texts in (manifest.made_by, manifest.source)
            for pair in texts.items()
            for text in pair
        ),
    }
    for expectation, holds in expectations.items():
        if not holds:
            raise _bad(folder, f"{MANIFEST}: {expectation}")


def _table_type(manifest: Manifest) -> str:
    return manifest.dtypes.get(EMBEDDINGS, "float32")


def _check_file(folder: Path, name: str, entry: FileEntry, allowed: set[Path]) -> None:
    """allowed: the real folders in which files may lie: the model's, and where its manifest is a link to. A model that
    was installed by links has all of its files in the latter."""
    if not name or name in (".", "..") or "\0" in name or Path(name).name != name:
        raise _bad(folder, f"{MANIFEST}: expected plain file names, got '{name}'")
    path = folder / name
    if not path.exists():
        raise _bad(folder, f"{name} is missing")
    if not path.is_file():
        raise _bad(folder, f"{name} is no file")
    if path.resolve().parent not in allowed:
        raise _bad(folder, f"{name} is a link to '{path.resolve()}': expected a file of this folder")
    size = path.stat().st_size
    if size != entry.bytes:
        state = "truncated" if size < entry.bytes else "not the exported file"
        raise _bad(folder, f"{name} is {state}: expected {entry.bytes} bytes, got {size}")
    digest = verified_sha256(path, entry.sha256)
    if digest != entry.sha256:
        raise _bad(folder, f"{name} is damaged or of another model: expected SHA-256 {entry.sha256}, got {digest}")


def default_model_dir() -> Path:
    """The shipped model: beside a source checkout, else in the share folder of an ament or Python prefix.

    Raises GarError BAD_MODEL listing where it was looked for.
    """
    candidates = shipped_paths(DEFAULT_MODEL)
    for candidate in candidates:
        if (candidate / MANIFEST).is_file():
            return candidate
    looked = ", ".join(f"'{candidate}'" for candidate in candidates)
    raise GarError(ErrorCode.BAD_MODEL, f"found no default model; looked for {MANIFEST} in {looked}")
