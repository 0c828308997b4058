# SPDX-License-Identifier: Apache-2.0
"""Reads and writes weights in GAR's released format: safetensors, one file or several shards with an index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, bad_model, declared, read_json
from gar_export.model import GarModel, empty_model

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
EMBEDDING = "mllm.model.language_model.embed_tokens.weight"
HEAD = "mllm.lm_head.weight"
DECODER_PREFIXES = ("mllm.model.language_model.", "mllm.lm_head.")
SMALL_FILES = (
    CONFIG,
    PREPROCESSOR,
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)


class Weights:
    """The tensors of a checkpoint folder, read one at a time (the files are memory-mapped)."""

    def __init__(self, folder: Path) -> None:
        """Opens every shard. Raises GarError BAD_MODEL for an absent or damaged shard, or an index that disagrees."""
        self.files = _weight_files(folder)
        self._shards: dict[str, Any] = {}
        for path in self.files:
            shard = _open_shard(path)
            for name in shard.keys():  # noqa: SIM118, not a dict
                if name in self._shards:
                    raise bad_model(f"{path.name}: tensor '{name}' is in another shard too")
                self._shards[name] = shard
        listed = set(_weight_map(folder)) if (folder / INDEX).is_file() else set(self._shards)
        if listed != set(self._shards):
            raise bad_model(f"{INDEX} and its shards disagree on {_some(listed ^ set(self._shards))}")

    def names(self) -> list[str]:
        """All tensor names, sorted."""
        return sorted(self._shards)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return tuple(self._shards[name].get_slice(name).get_shape())

    def read(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """One tensor, converted. Raises GarError BAD_MODEL when it is absent or not of a floating-point type."""
        if name not in self._shards:
            raise bad_model(f"checkpoint: tensor '{name}' is missing")
        tensor = self._shards[name].get_tensor(name)
        if not tensor.is_floating_point():
            raise bad_model(f"checkpoint: expected floating-point numbers in '{name}', got {tensor.dtype}")
        return tensor.to(dtype)


def load_checkpoint(folder: str | Path) -> tuple[GarModel, GarConfig]:
    """The model of a checkpoint folder, float32, in eval mode. Raises GarError BAD_MODEL naming what is wrong."""
    config = GarConfig.read(Path(folder))
    return load_model(config, Weights(Path(folder))), config


def load_model(
    config: GarConfig, weights: Weights, decoder: bool = True, dtype: torch.dtype = torch.float32
) -> GarModel:
    """A model with these weights, in eval mode. Raises GarError BAD_MODEL as `check_weights`.

    With `decoder` False the decoder's parameters are checked but stay on the meta device, without memory.
    """
    model = empty_model(config)
    check_weights(model, weights)
    names = [name for name in weights.names() if decoder or not name.startswith(DECODER_PREFIXES)]
    state = {name: weights.read(name, dtype) for name in names}
    if decoder and config.decoder.tied_head:
        state[HEAD] = state[EMBEDDING]
    model.load_state_dict(state, strict=decoder, assign=True)
    if decoder:
        model.mllm.tie_weights()
    return model.eval()


def check_weights(model: GarModel, weights: Weights) -> None:
    """Every parameter accounted for. Raises GarError BAD_MODEL naming tensors missing, left over, or of another shape.

    A tied head may be absent, or present when it equals the embedding table.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = model.config.decoder.tied_head
    required = set(expected) - ({HEAD} if tied else set())
    found = set(weights.names())
    problems = [f"missing: {_some(required - found)}"] if required - found else []
    problems += [f"left over: {_some(found - set(expected))}"] if found - set(expected) else []
    shapes = [
        f"'{name}' has shape {list(weights.shape(name))}, expected {list(expected[name])}"
        for name in sorted(found & set(expected))
        if weights.shape(name) != expected[name]
    ]
    problems += shapes[:5] + ([f"{len(shapes) - 5} more of another shape"] if len(shapes) > 5 else [])
    if problems:
        raise bad_model(f"checkpoint does not fit its {CONFIG}: {'; '.join(problems)}")
    if tied and HEAD in found and not torch.equal(weights.read(HEAD), weights.read(EMBEDDING)):
        raise bad_model(
            f"checkpoint: {CONFIG} ties the output head to the embeddings, but '{HEAD}' differs from '{EMBEDDING}'"
        )


def save_checkpoint(
    model: GarModel,
    folder: str | Path,
    like: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Writes the weights into a checkpoint folder; config and tokenizer files are copied from `like` when given.

    A tied head is not written. More than `shard_bytes` become several shards with an index.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if like is not None:
        for name in SMALL_FILES:
            if (Path(like) / name).is_file():
                shutil.copyfile(Path(like) / name, folder / name)
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in sorted(model.state_dict().items())}
    if model.config.decoder.tied_head:
        del state[HEAD]
    write_shards({name: tensor.nbytes for name, tensor in state.items()}, state.__getitem__, folder, shard_bytes)


def write_shards(sizes: dict[str, int], tensor: Callable[[str], Tensor], folder: Path, shard_bytes: int) -> None:
    """Writes weight files of at most `shard_bytes` (or one tensor) each, and an index when there are several.

    sizes: bytes of each tensor. tensor: gives one by its name; only one shard's are held at a time.
    """
    shards: list[list[str]] = [[]]
    size = 0
    for name, nbytes in sizes.items():
        if shards[-1] and size + nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += nbytes
    count = len(shards)
    names = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    if count == 1:
        names = [WEIGHTS]
    for name, shard in zip(names, shards, strict=True):
        # Written beside and renamed, so that a checkpoint that is being replaced is never half a file.
        tensors = {key: tensor(key) for key in shard}
        save_file(tensors, folder / f"{name}.part", metadata={"format": "pt"})
        del tensors
        (folder / f"{name}.part").replace(folder / name)
    for old in folder.glob("model*.safetensors"):
        if old.name not in names:
            old.unlink()
    if count == 1:
        (folder / INDEX).unlink(missing_ok=True)
        return
    weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder: those its index names, else the single file."""
    if not (folder / INDEX).is_file():
        if not (folder / WEIGHTS).is_file():
            raise bad_model(f"expected {WEIGHTS} or {INDEX} in the checkpoint folder {folder}")
        return [folder / WEIGHTS]
    names = sorted(set(_weight_map(folder).values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise bad_model(f"{INDEX}: expected names of safetensors files of this folder, got '{name}'")
        if not (folder / name).is_file():
            raise bad_model(f"{INDEX} names the shard {name}, which is not in the checkpoint folder {folder}")
    return [folder / name for name in names]


class _Index(msgspec.Struct):
    """The part of the index that is read: tensor name -> file."""

    weight_map: dict[str, str]


def _weight_map(folder: Path) -> dict[str, str]:
    return declared(INDEX, read_json(folder / INDEX), _Index).weight_map


def _open_shard(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise bad_model(f"{path.name} is damaged or is not a safetensors file: {error}") from error


def _some(names: set[str]) -> str:
    """A few names of many, for an error message."""
    shown = sorted(names)[:5]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(f"'{name}'" for name in shown) + more
