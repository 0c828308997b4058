# SPDX-License-Identifier: Apache-2.0
"""The contract between export and runtime: `manifest.json` of an exported model folder."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import msgspec

from gar_ros.engine.replay import RoiConvention
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, Positive, convert, load, shortened

FORMAT = "gar_ros-model"
FORMAT_VERSION = 1

VISION = "vision.onnx"
REPLAY = "replay.onnx"
DECODER = "decoder.onnx"
EMBEDDINGS = "embeddings.npy"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"

NumberType = Literal["float32", "float16", "bfloat16", "int8", "int4", "int4-float16"]
"""Of a graph's weights and activations; int8 and int4 are weights beside float32 activations, as ONNX Runtime's own
operator takes them, int4-float16 those beside float16 activations, in standard operators, as TensorRT takes them."""

KvForm = Literal["joined", "split", "static"]
"""How the decoder graph takes keys and values of earlier tokens: in one part; in a settled and a recent part, of which
only the recent one is copied for each token; or in buffers for the whole context, into which it writes new ones."""

Tail = Literal["logits", "tokens"]
"""What the decoder graph returns: the logits of the whole vocabulary; or the likeliest tokens with their embeddings and
log probabilities, and the logits of those tokens that are asked about, so that the others never leave a GPU."""

_NOTICE_LENGTH = 500
NOTICE_FORM = f"one line of at most {_NOTICE_LENGTH} printable characters"
"""What `is_showable` expects."""

_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="a SHA-256 of 64 hexadecimal digits")]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="a number of bytes")]
_Deviation = Annotated[float, msgspec.Meta(gt=0, description="a number above 0")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of the file, with exactly these fields."""


class Sizes(_Part, frozen=True):
    """Every dimension the runtime needs."""

    tile: Positive  # pixels, side of a square tile
    patch: Positive  # pixels
    grid: Positive  # tokens along one side of a tile, after pooling; also the side of a RoI's replay grid
    hidden: Positive  # width of the decoder
    layers: Positive
    heads: Positive
    kv_heads: Positive
    head_dim: Positive
    vocab: Positive
    max_positions: Positive

    @property
    def tile_tokens(self) -> int:
        """Tokens of one tile, and replay tokens of one region."""
        return self.grid * self.grid


class TileRule(_Part, frozen=True):
    """How an image becomes tiles: Perception-LM's arrangement, at most `max_tiles`, after one thumbnail."""

    rule: Literal["perception_lm"]
    max_tiles: Positive
    thumbnail: bool
    mean: tuple[float, float, float]  # of pixels scaled to 0..1, RGB
    std: tuple[_Deviation, _Deviation, _Deviation]


class Tokens(_Part, frozen=True):
    """Ids of the special tokens."""

    bos: int
    eos: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
    image: int
    prompts: tuple[int, ...]  # <Prompt0>..
    crops: tuple[int, ...]  # the tokens that <PromptN>'s replay features replace


class PromptFormat(_Part, frozen=True):
    """The chat template, rendered around the user's turn (the texts between are fixed in engine/prompt.py)."""

    before_image: str
    after_image: str
    after_text: str


class FileEntry(_Part, frozen=True):
    """A file of the model folder."""

    sha256: _Sha256
    bytes: _Bytes


def is_showable(notice: str) -> bool:
    """Whether logs and terminals can show a notice as it is: NOTICE_FORM."""
    return len(notice) <= _NOTICE_LENGTH and notice.isprintable()


class Manifest(_Part, frozen=True, omit_defaults=True):
    """What an exported model folder holds and how it must be run."""

    name: str
    sizes: Sizes
    tiles: TileRule
    tokens: Tokens
    prompt: PromptFormat
    roi_convention: RoiConvention
    dtypes: dict[str, NumberType]  # graph or table -> numbers
    files: dict[str, FileEntry]
    made_by: dict[str, str]  # tool -> version
    source: dict[str, str]  # "checkpoint": folder relative to this one, "sha256" of its weights
    kv_cache: KvForm = "joined"  # of the decoder graph
    tail: Tail = "logits"  # of the decoder graph
    notice: str = ""  # what users must know before they trust an answer; see `is_showable`. Not written when empty

    def to_json(self) -> str:
        """The text of manifest.json."""
        fields = msgspec.to_builtins(self)
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **fields}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parses manifest.json. Raises GarError BAD_MODEL naming the first field that is missing, unknown or not as
        declared here, what was expected there and what came.
        """
        try:
            data = load(text)
            # Both come first: they say whether the other fields are those declared here.
            if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
                raise JsonError("", f'expected "format": "{FORMAT}": not a folder made by `gar export`')
            version = data.pop("format_version", None)
            if version != FORMAT_VERSION:
                raise JsonError("format_version", f"expected {FORMAT_VERSION}, got {shortened(version)}")
            return convert(data, cls)
        except JsonError as error:
            raise GarError(ErrorCode.BAD_MODEL, f"{MANIFEST}: {error}") from error
