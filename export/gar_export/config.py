"""What a checkpoint folder in GAR's released format says about its model: config.json and preprocessor_config.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import LlamaConfig

from gar_ros.engine.model_dir.manifest import Sizes, TileRule
from gar_ros.engine.replay import RoiConvention
from gar_ros.errors import ErrorCode, GarError

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"


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
    rope_theta: float
    rope_scaling: dict[str, Any] | None  # llama3 scaling as in config.json, None when positions are not scaled
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
        main, images = _Keys(CONFIG, config), _Keys(PREPROCESSOR, preprocessor)
        main.expect("model_type", "GAR")
        mllm = main.part("mllm_config")
        mllm.expect("model_type", "perception_lm")
        vision, text = mllm.part("vision_config"), mllm.part("text_config")
        vision.expect("model_type", "timm_wrapper")
        if not str(vision.get("architecture", str)).startswith("vit_pe_"):
            raise vision.wrong("architecture", "a Perception Encoder of timm (vit_pe_...)")
        model_args = vision.part("model_args")
        model_args.expect("global_pool", "")
        tile = images.get("tile_size", int)
        patch = main.square("kernel_size")
        pooling = mllm.get("projector_pooling_ratio", int)
        if tile % (patch * pooling):
            raise images.wrong("tile_size", f"a multiple of {patch * pooling} (patch times pooling)")
        if model_args.square("img_size") != tile:
            raise model_args.wrong("img_size", f"the tile size {tile} of {PREPROCESSOR}")
        crop_tokens = main.numbers("crop_tokens_ids", int)
        prompts = main.get("prompt_numbers", int)
        if len(crop_tokens) != prompts:
            raise main.wrong("crop_tokens_ids", f"one token for each of the {prompts} prompts")
        convention = config.get("roi_convention", "released")
        if convention not in ("released", "correct"):
            raise main.wrong("roi_convention", '"released" or "correct"')
        input_type = images.get("vision_input_type", str)
        if input_type not in ("thumb+tile", "tile"):
            raise images.wrong("vision_input_type", '"thumb+tile" or "tile"')
        return cls(
            mllm=mllm.data,
            tile=tile,
            patch=patch,
            pooling=pooling,
            vision_width=model_args.get("embed_dim", int),
            class_token=mllm.get("vision_use_cls_token", bool),
            decoder=_decoder(text),
            max_tiles=images.get("max_num_tiles", int),
            thumbnail=input_type == "thumb+tile",
            mean=images.triple("image_mean"),
            std=images.triple("image_std"),
            prompts=prompts,
            bos=text.get("bos_token_id", int),
            eos=text.numbers("eos_token_id", int),
            image_token=mllm.get("image_token_id", int),
            crop_tokens=crop_tokens,
            roi_convention=convention,
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
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise bad_model(f"expected a file {path.name} in the checkpoint folder {path.parent}") from error
    except (OSError, ValueError) as error:
        raise bad_model(f"{path.name} can't be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise bad_model(f"{path.name}: expected a JSON object, got {type(data).__name__}")
    return data


def _decoder(text: _Keys) -> DecoderConfig:
    text.expect("model_type", "llama")
    # What a config leaves out has transformers' default.
    head_dim = text.data.get("head_dim") or text.get("hidden_size", int) // text.get("num_attention_heads", int)
    text = _Keys(text.where, {**LlamaConfig().to_dict(), **text.data, "head_dim": head_dim})
    text.expect("hidden_act", "silu")
    text.expect("attention_bias", False)
    text.expect("mlp_bias", False)
    if "rope_parameters" in text.data:
        raise text.wrong("rope_parameters", "absent: rope_theta and rope_scaling, as transformers 4 writes them")
    scaling = text.data.get("rope_scaling")
    if scaling is not None and (not isinstance(scaling, dict) or scaling.get("rope_type") != "llama3"):
        raise text.wrong("rope_scaling", 'null or an object with "rope_type": "llama3"')
    return DecoderConfig(
        hidden=text.get("hidden_size", int),
        layers=text.get("num_hidden_layers", int),
        heads=text.get("num_attention_heads", int),
        kv_heads=text.get("num_key_value_heads", int),
        head_dim=text.get("head_dim", int),
        ffn=text.get("intermediate_size", int),
        vocab=text.get("vocab_size", int),
        max_positions=text.get("max_position_embeddings", int),
        rms_eps=float(text.get("rms_norm_eps", float)),
        rope_theta=float(text.get("rope_theta", (int, float))),
        rope_scaling=scaling,
        tied_head=text.get("tie_word_embeddings", bool),
    )


class _Keys:
    """Typed access to one JSON object; errors name the file and the key."""

    def __init__(self, where: str, data: dict[str, Any]) -> None:
        self.where = where
        self.data = data

    def wrong(self, key: str, expected: str) -> GarError:
        got = repr(self.data[key]) if key in self.data else "nothing"
        return bad_model(f"{self.where}: expected '{key}' to be {expected}, got {got}")

    def get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        value: Any = self.data.get(key)
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits:
            names = [k.__name__ for k in kind] if isinstance(kind, tuple) else [kind.__name__]
            raise self.wrong(key, f"of type {' or '.join(names)}")
        if kind is int and value <= 0 and not key.endswith("_token_id"):
            raise self.wrong(key, "a positive number")
        return value

    def expect(self, key: str, value: Any) -> None:
        if self.data.get(key) != value:
            raise self.wrong(key, json.dumps(value))

    def part(self, key: str) -> _Keys:
        return _Keys(f"{self.where}: {key}", self.get(key, dict))

    def numbers(self, key: str, kind: type | tuple[type, ...]) -> tuple[Any, ...]:
        value = self.data.get(key)
        items = value if isinstance(value, list) else [value]
        if not items or any(not isinstance(item, kind) or isinstance(item, bool) for item in items):
            raise self.wrong(key, "a number or a list of numbers")
        return tuple(items)

    def square(self, key: str) -> int:
        """The side of a size given as one number or as two equal ones."""
        value = set(self.numbers(key, int))
        if len(value) != 1:
            raise self.wrong(key, "a square size")
        return int(value.pop())

    def triple(self, key: str) -> tuple[float, float, float]:
        value = self.numbers(key, (int, float))
        if len(value) != 3:
            raise self.wrong(key, "three numbers, one a channel")
        return float(value[0]), float(value[1]), float(value[2])
