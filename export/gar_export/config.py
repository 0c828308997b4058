# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint folder in GAR's released format says about its model: config.json and preprocessor_config.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gar_ros.engine.model_dir.manifest import Sizes, TileRule
from gar_ros.engine.replay import RoiConvention
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, Positive, convert, read

T = TypeVar("T")

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
NOTICE_FILE = "notice.txt"
"""A file that a checkpoint may have beside those of the released format: what the manifest says as `notice`."""

_TokenIds = int | Annotated[list[int], msgspec.Meta(min_length=1)]
_Sides = Positive | Annotated[list[Positive], msgspec.Meta(min_length=1)]
_Channels = tuple[float, float, float]
_Absent = Annotated[
    None, msgspec.Meta(description="absent: rope_theta and rope_scaling in its place, as transformers 4 writes them")
]
_PerceptionEncoder = Annotated[
    str, msgspec.Meta(pattern="^vit_pe_", description="a Perception Encoder of timm (vit_pe_...)")
]


class _ModelArgs(msgspec.Struct):
    """Of timm's ViT. In all these files other keys are let be."""

    img_size: _Sides
    embed_dim: Positive
    global_pool: Literal[""]


class _VisionConfig(msgspec.Struct):
    model_type: Literal["timm_wrapper"]
    architecture: _PerceptionEncoder
    model_args: _ModelArgs


class _RopeScaling(msgspec.Struct):
    rope_type: Literal["llama3"]


class TextConfig(msgspec.Struct):
    """The Llama decoder's part of config.json; what a file leaves out has the default of transformers' LlamaConfig."""

    model_type: Literal["llama"]
    bos_token_id: int
    eos_token_id: _TokenIds
    hidden_size: Positive = 4096
    intermediate_size: Positive = 11008
    num_hidden_layers: Positive = 32
    num_attention_heads: Positive = 32
    num_key_value_heads: Positive | None = None
    head_dim: Positive | None = None
    vocab_size: Positive = 32000
    max_position_embeddings: Positive = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling: _RopeScaling | None = None
    rope_parameters: _Absent = None
    hidden_act: Literal["silu"] = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False


class _MllmConfig(msgspec.Struct):
    model_type: Literal["perception_lm"]
    image_token_id: int
    projector_pooling_ratio: Positive
    vision_use_cls_token: bool
    vision_config: _VisionConfig
    text_config: TextConfig


class _Config(msgspec.Struct):
    model_type: Literal["GAR"]
    kernel_size: _Sides
    prompt_numbers: Positive
    crop_tokens_ids: _TokenIds
    mllm_config: _MllmConfig
    roi_convention: RoiConvention = "released"


class _Preprocessor(msgspec.Struct):
    tile_size: Positive
    max_num_tiles: Positive
    vision_input_type: Literal["thumb+tile", "tile"]
    image_mean: _Channels
    image_std: _Channels


@dataclass(frozen=True)
class DecoderConfig:
    """The Llama decoder's sizes and constants."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    max_positions: int
    rms_eps: float
    tied_head: bool  # the output head is the embedding table


@dataclass(frozen=True)
class GarConfig:
    """A GAR model of any size. Pixels are those of a tile; token ids are config.json's."""

    mllm: dict[str, Any]  # the arguments of transformers' PerceptionLMConfig
    tile: int  # pixels, side of a square tile
    patch: int  # pixels, side of a patch, for the image and for the mask
    pooling: int  # patches along one side that become one token
    vision_width: int
    class_token: bool
    decoder: DecoderConfig
    max_tiles: int
    thumbnail: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prompts: int  # how many regions one question can name
    bos: int
    eos: tuple[int, ...]
    image_token: int
    crop_tokens: tuple[int, ...]
    roi_convention: RoiConvention  # "released" or "correct", see engine/replay.py

    @property
    def grid(self) -> int:
        """Tokens along one side of a tile, and of a region's replay grid."""
        return self.tile // self.patch // self.pooling

    @classmethod
    def read(cls, folder: Path) -> GarConfig:
        """The config of a checkpoint folder. Raises GarError BAD_MODEL naming the file and the key."""
        return cls.from_json(read_json(folder / CONFIG), read_json(folder / PREPROCESSOR))

    @classmethod
    def from_json(cls, config: dict[str, Any], preprocessor: dict[str, Any]) -> GarConfig:
        """From the contents of config.json and preprocessor_config.json. Raises GarError BAD_MODEL."""
        main, images = declared(CONFIG, config, _Config), declared(PREPROCESSOR, preprocessor, _Preprocessor)
        mllm = main.mllm_config
        vision, text = mllm.vision_config, mllm.text_config
        patch, pooling, crop_tokens = _side(main.kernel_size), mllm.projector_pooling_ratio, _all(main.crop_tokens_ids)
        expectations = {
            f"{CONFIG}: 'kernel_size': expected a square size, got {main.kernel_size}": patch,
            f"{PREPROCESSOR}: 'tile_size': expected a multiple of {patch * pooling} (patch times pooling), "
            f"got {images.tile_size}": patch and images.tile_size % (patch * pooling) == 0,
            f"{CONFIG}: 'mllm_config.vision_config.model_args.img_size': expected the tile size {images.tile_size} of "
            f"{PREPROCESSOR}, got {vision.model_args.img_size}": _side(vision.model_args.img_size) == images.tile_size,
            f"{CONFIG}: 'mllm_config.text_config.attention_bias': expected false, got true": not text.attention_bias,
            f"{CONFIG}: 'mllm_config.text_config.mlp_bias': expected false, got true": not text.mlp_bias,
            f"{CONFIG}: 'crop_tokens_ids': expected one token for each of the {main.prompt_numbers} prompts, got "
            f"{len(crop_tokens)}": len(crop_tokens) == main.prompt_numbers,
        }
        for expectation, holds in expectations.items():
            if not holds:
                raise bad_model(expectation)
        return cls(
            mllm=config["mllm_config"],
            tile=images.tile_size,
            patch=patch,
            pooling=pooling,
            vision_width=vision.model_args.embed_dim,
            class_token=mllm.vision_use_cls_token,
            decoder=_decoder(text),
            max_tiles=images.max_num_tiles,
            thumbnail=images.vision_input_type == "thumb+tile",
            mean=images.image_mean,
            std=images.image_std,
            prompts=main.prompt_numbers,
            bos=text.bos_token_id,
            eos=_all(text.eos_token_id),
            image_token=mllm.image_token_id,
            crop_tokens=crop_tokens,
            roi_convention=main.roi_convention,
        )

    def sizes(self) -> Sizes:
        """The manifest's sizes."""
        text = self.decoder
        return Sizes(
            tile=self.tile,
            patch=self.patch,
            grid=self.grid,
            hidden=text.hidden,
            layers=text.layers,
            heads=text.heads,
            kv_heads=text.kv_heads,
            head_dim=text.head_dim,
            vocab=text.vocab,
            max_positions=text.max_positions,
        )

    def tile_rule(self) -> TileRule:
        """The manifest's tile rule."""
        return TileRule("perception_lm", self.max_tiles, self.thumbnail, self.mean, self.std)


def bad_model(message: str) -> GarError:
    """The error for a checkpoint that can't be used."""
    return GarError(ErrorCode.BAD_MODEL, message)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises GarError BAD_MODEL when the file is absent or is something else."""
    try:
        return read(path.read_bytes(), dict[str, Any])
    except FileNotFoundError as error:
        raise bad_model(f"expected a file {path.name} in the checkpoint folder {path.parent}") from error
    except OSError as error:
        raise bad_model(f"{path.name} can't be read: {error}") from error
    except JsonError as error:
        raise bad_model(f"{path.name}: {error}") from error


def declared(name: str, data: dict[str, Any], kind: type[T]) -> T:
    """A JSON object of the file `name` as the declared type. Raises GarError BAD_MODEL naming what does not fit."""
    try:
        return convert(data, kind)
    except JsonError as error:
        raise bad_model(f"{name}: {error}") from error


def _decoder(text: TextConfig) -> DecoderConfig:
    return DecoderConfig(
        hidden=text.hidden_size,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads or text.num_attention_heads,
        head_dim=text.head_dim or text.hidden_size // text.num_attention_heads,
        ffn=text.intermediate_size,
        vocab=text.vocab_size,
        max_positions=text.max_position_embeddings,
        rms_eps=text.rms_norm_eps,
        tied_head=text.tie_word_embeddings,
    )


def _all(value: int | list[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _side(sides: int | list[int]) -> int:
    """The side of a size given as one number or as two equal ones, 0 when it is no square."""
    first, *others = _all(sides)
    return first if set(others) <= {first} else 0
