"""The contract between export and runtime: `manifest.json` of an exported model folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from gar_ros.errors import ErrorCode, GarError

FORMAT = "gar_ros-model"
FORMAT_VERSION = 1

VISION = "vision.onnx"
REPLAY = "replay.onnx"
DECODER = "decoder.onnx"
EMBEDDINGS = "embeddings.npy"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Sizes:
    """Every dimension the runtime needs."""

    tile: int  # pixels, side of a square tile
    patch: int  # pixels
    grid: int  # tokens along one side of a tile, after pooling; also the side of a RoI's replay grid
    hidden: int  # width of the decoder
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    max_positions: int

    @property
    def tile_tokens(self) -> int:
        """Tokens of one tile, and replay tokens of one region."""
        return self.grid * self.grid


@dataclass(frozen=True)
class TileRule:
    """How an image becomes tiles: Perception-LM's arrangement, at most `max_tiles`, after one thumbnail."""

    rule: str  # "perception_lm"
    max_tiles: int
    thumbnail: bool
    mean: tuple[float, float, float]  # of pixels scaled to 0..1, RGB
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Tokens:
    """Ids of the special tokens."""

    bos: int
    eos: tuple[int, ...]
    image: int
    prompts: tuple[int, ...]  # <Prompt0>..
    crops: tuple[int, ...]  # the tokens that <PromptN>'s replay features replace


@dataclass(frozen=True)
class PromptFormat:
    """The chat template, rendered around the user's turn (the texts between are fixed in engine/prompt.py)."""

    before_image: str
    after_image: str
    after_text: str


@dataclass(frozen=True)
class FileEntry:
    """A file of the model folder."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an exported model folder holds and how it must be run."""

    name: str
    sizes: Sizes
    tiles: TileRule
    tokens: Tokens
    prompt: PromptFormat
    roi_convention: str  # "correct" or "released", see engine/replay.py
    dtypes: dict[str, str]  # graph or table -> "float32" | "float16"; a decoder with fewer bits: "int8" | "int4"
    files: dict[str, FileEntry]
    made_by: dict[str, str]  # tool -> version
    source: dict[str, str]  # "checkpoint": folder relative to this one, "sha256" of its weights

    def to_json(self) -> str:
        """The text of manifest.json."""
        return (
            json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **dataclasses.asdict(self)}, indent=1)
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parses manifest.json. Raises GarError BAD_MODEL naming the missing, unknown or wrongly typed field."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise GarError(ErrorCode.BAD_MODEL, f"{MANIFEST} is not JSON: {error}") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise GarError(
                ErrorCode.BAD_MODEL, f'{MANIFEST}: expected "format": "{FORMAT}": not a folder made by `gar export`'
            )
        version = data.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise GarError(ErrorCode.BAD_MODEL, f"{MANIFEST}: expected format_version {FORMAT_VERSION}, got {version}")
        manifest: Manifest = _build(cls, data, "")
        return manifest


_PARTS: dict[str, Any] = {"Sizes": Sizes, "TileRule": TileRule, "Tokens": Tokens, "PromptFormat": PromptFormat}


def _build(cls: Any, data: Any, where: str) -> Any:
    """A dataclass from its JSON object, fields checked one by one."""
    if not isinstance(data, dict):
        raise GarError(ErrorCode.BAD_MODEL, f"{MANIFEST}: expected an object at '{where}', got {type(data).__name__}")
    fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    if set(fields) != set(data):
        missing, unknown = sorted(set(fields) - set(data)), sorted(set(data) - set(fields))
        raise GarError(
            ErrorCode.BAD_MODEL,
            f"{MANIFEST}: in '{where or 'the top level'}' missing fields {missing}, unknown fields {unknown}",
        )
    return cls(**{name: _value(kind, data[name], f"{where}.{name}".lstrip(".")) for name, kind in fields.items()})


def _value(kind: str, value: Any, where: str) -> Any:
    if kind in _PARTS:
        return _build(_PARTS[kind], value, where)
    if kind == "dict[str, FileEntry]" and isinstance(value, dict):
        return {name: _build(FileEntry, entry, f"{where}.{name}") for name, entry in value.items()}
    if kind.startswith("tuple[") and isinstance(value, list):
        item = float if "float" in kind else int
        if all(isinstance(entry, (item, int)) for entry in value):
            return tuple(item(entry) for entry in value)
    plain = {"str": str, "int": int, "bool": bool, "dict[str, str]": dict}.get(kind)
    if plain is not None and type(value) is plain:  # JSON's true is an int in Python
        return value
    raise GarError(ErrorCode.BAD_MODEL, f"{MANIFEST}: expected {kind} at '{where}', got {value!r}")
