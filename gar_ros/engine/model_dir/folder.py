# SPDX-License-Identifier: Apache-2.0
"""An exported model folder: opened only when it is complete and every file is the one its manifest names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gar_ros.engine.model_dir.hash_cache import file_sha256
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

DEFAULT_MODEL = "models/gar-tiny"
_REQUIRED = (VISION, REPLAY, DECODER, EMBEDDINGS, TOKENIZER)
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
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise _bad(folder, f"expected the folder of an exported model, found {found}")
        try:
            text = (folder / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise _bad(folder, f"it has no {MANIFEST}: not a folder made by `gar export`") from error
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(folder, f"{MANIFEST} can't be read: {error}") from error
        try:
            manifest = Manifest.from_json(text)
        except GarError as error:
            raise _bad(folder, error.message) from error
        _check_values(folder, manifest)
        for name, entry in manifest.files.items():
            _check_file(folder, name, entry)
        return cls(folder, manifest)

    def file(self, name: str) -> Path:
        """Path of a file of the manifest."""
        return self.path / name

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; raises GarError BAD_MODEL when the file holds none."""
        try:
            return Tokenizer.from_file(str(self.file(TOKENIZER)))
        except Exception as error:  # the tokenizers library raises nothing more precise
            raise _bad(self.path, f"{TOKENIZER} can't be read: {error}") from error

    def embeddings(self) -> NDArray[np.floating]:
        """The token embeddings (vocab, hidden), memory-mapped, of the type in the manifest's `dtypes` (float32 where it
        names none, as exports before float16 did). Raises GarError BAD_MODEL for another array.
        """
        try:
            table: NDArray[np.floating] = np.load(self.file(EMBEDDINGS), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _bad(self.path, f"{EMBEDDINGS} can't be read: {error}") from error
        expected = (self.manifest.sizes.vocab, self.manifest.sizes.hidden)
        dtype = _table_type(self.manifest)
        if table.shape != expected or table.dtype != dtype:
            raise _bad(self.path, f"{EMBEDDINGS}: expected {dtype} {expected}, got {table.dtype} {table.shape}")
        return table


def _bad(folder: Path, message: str) -> GarError:
    return GarError(ErrorCode.BAD_MODEL, f"model folder '{folder}': {message}")


def _check_values(folder: Path, manifest: Manifest) -> None:
    """Refuses what each field's declaration allows and what together can't be served."""
    sizes, tokens = manifest.sizes, manifest.tokens
    ids = (tokens.bos, tokens.image, *tokens.eos, *tokens.prompts, *tokens.crops)
    expectations = {
        "'sizes': expected heads to be a multiple of kv_heads": sizes.heads % sizes.kv_heads == 0,
        "'tokens': expected ids below sizes.vocab": all(0 <= id < sizes.vocab for id in ids),
        f"'dtypes': expected {EMBEDDINGS} to be one of {sorted(_TABLE_TYPES)}": _table_type(manifest) in _TABLE_TYPES,
        f"'files': expected {', '.join(_REQUIRED)}": set(_REQUIRED) <= set(manifest.files),
        f"'notice': expected {NOTICE_FORM}": is_showable(manifest.notice),
    }
    for expectation, holds in expectations.items():
        if not holds:
            raise _bad(folder, f"{MANIFEST}: {expectation}")


def _table_type(manifest: Manifest) -> str:
    return manifest.dtypes.get(EMBEDDINGS, "float32")


def _check_file(folder: Path, name: str, entry: FileEntry) -> None:
    if Path(name).name != name:
        raise _bad(folder, f"{MANIFEST}: expected plain file names, got '{name}'")
    path = folder / name
    if not path.is_file():
        raise _bad(folder, f"{name} is missing")
    size = path.stat().st_size
    if size != entry.bytes:
        state = "truncated" if size < entry.bytes else "not the exported file"
        raise _bad(folder, f"{name} is {state}: expected {entry.bytes} bytes, got {size}")
    digest = file_sha256(path)
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
