# SPDX-License-Identifier: Apache-2.0
"""GAR in torch: transformers' PerceptionLM plus GAR's two pieces, the mask embedding and the replay.

One class for gar-tiny, GAR-1B and GAR-8B, for training, for export and as the reference of `gar verify`. Parameter
names are the released ones: `mllm....` and `mask_patch_embedding.weight`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PerceptionLMConfig, PerceptionLMForConditionalGeneration

from gar_export.config import CONFIG, GarConfig, bad_model
from gar_ros.errors import ErrorCode, GarError


class GarModel(nn.Module):
    """Region-level multimodal LLM (Grasp Any Region). Everything is batched and differentiable.

    T tiles of side S pixels, g tokens along one side of a tile, H decoder width, R regions.
    """

    def __init__(self, config: GarConfig) -> None:
        super().__init__()
        self.config = config
        # Transformers 4 asks the text config whether the head is tied, 5 the whole one, whose default is a tied head.
        mllm = PerceptionLMConfig(**{**copy.deepcopy(config.mllm), "tie_word_embeddings": config.decoder.tied_head})
        self.mllm = PerceptionLMForConditionalGeneration(mllm)
        self.mask_patch_embedding = nn.Conv2d(3, config.vision_width, config.patch, stride=config.patch, bias=False)
        self._check_vision_tower()
        if (self.mllm.lm_head.weight is self.mllm.get_input_embeddings().weight) != config.decoder.tied_head:
            raise RuntimeError(f"transformers ties the output head otherwise than {CONFIG} says")

    @property
    def vit(self) -> Any:
        """timm's Perception Encoder."""
        return self.mllm.model.vision_tower.timm_model

    @property
    def inv_freq(self) -> Tensor:
        """The decoder's RoPE frequencies, float32 [head_dim / 2], scaled as the config says."""
        return self.mllm.model.language_model.rotary_emb.inv_freq

    def encode_patches(self, pixel_values: Tensor, mask_values: Tensor) -> Tensor:
        """Last hidden states of the ViT's patches, class token dropped: [T, (S/patch)^2, vision_width], row-major.

        pixel_values: float [T, 3, S, S], normalised. mask_values: float [T, 1, S, S], 1 inside any prompted region,
        else 0.
        """
        # The released model repeats the mask on three channels; the kernel summed over them gives the same embedding.
        mask_kernel = self.mask_patch_embedding.weight.sum(1, keepdim=True, dtype=torch.float32).to(mask_values.dtype)
        mask_embedding = F.conv2d(mask_values, mask_kernel, stride=self.config.patch)
        # timm's forward_features, with the mask embedding added before class token and position embedding.
        vit = self.vit
        hidden = vit.patch_embed(pixel_values) + mask_embedding.flatten(2).transpose(1, 2)
        hidden, rope = vit._pos_embed(hidden)
        hidden = vit.norm_pre(hidden)
        for block in vit.blocks:
            hidden = block(hidden, rope=rope)
        return vit.norm(hidden)[:, vit.num_prefix_tokens :]

    def project(self, patches: Tensor) -> Tensor:
        """Projector and pooling: patches [T, (S/patch)^2, vision_width] -> image features [T, g*g, H]."""
        # Its forward, without two permutations that cancel: a float16 graph with them crashes ONNX Runtime 1.32's CPU.
        projector = self.mllm.model.multi_modal_projector
        hidden = projector.linear_2(projector.gelu(projector.linear_1(patches)))
        return projector.pooling(hidden)

    def encode_tiles(self, pixel_values: Tensor, mask_values: Tensor) -> Tensor:
        """Image features [T, g*g, H] of tiles, arguments as in `encode_patches`."""
        return self.project(self.encode_patches(pixel_values, mask_values))

    def merge_tiles(self, tile_features: Tensor, grid: tuple[int, int]) -> Tensor:
        """One map [..., g*tiles_h, g*tiles_w, H] of an image's tiles.

        tile_features: [..., tiles_h*tiles_w, g*g, H], row-major, without the thumbnail. grid: (tiles_w, tiles_h).
        """
        tiles_w, tiles_h = grid
        side = self.config.grid
        tiles = tile_features.unflatten(-2, (side, side)).unflatten(-4, (tiles_h, tiles_w))
        return tiles.transpose(-4, -3).flatten(-5, -4).flatten(-3, -2)

    def replay(self, tile_features: Tensor, grid: tuple[int, int], wy: Tensor, wx: Tensor) -> Tensor:
        """Replay tokens [..., R, g*g, H]: RoI align of the merged tiles, with the bilinear weights of engine/replay.py.

        tile_features and grid as in `merge_tiles`. wy: [..., R, g, g*tiles_h]. wx: [..., R, g, g*tiles_w].
        """
        merged = self.merge_tiles(tile_features, grid)
        rows = wy @ merged.flatten(-2).unsqueeze(-3)
        columns = wx.unsqueeze(-3) @ rows.unflatten(-1, merged.shape[-2:])
        return columns.flatten(-3, -2)

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings [..., H] of ids [...]."""
        return self.mllm.get_input_embeddings()(ids)

    def splice(self, ids: Tensor, image_features: Tensor, replay: Tensor) -> Tensor:
        """The decoder's input [B, L, H] for ids [B, L]: image and crop tokens replaced by features, in their order.

        image_features: [B, T, g*g, H], replay: [B, R, g*g, H] (or any shape of as many rows). Raises GarError
        INVALID_REQUEST when the numbers of tokens and of features differ.
        """
        crops = torch.tensor(self.config.crop_tokens, device=ids.device)
        embeddings = _replace(self.embed(ids), ids == self.config.image_token, image_features, "image tokens")
        return _replace(embeddings, torch.isin(ids, crops), replay, "crop tokens")

    def hidden_states(
        self, inputs_embeds: Tensor, position_ids: Tensor, attention_mask: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        """Last hidden states [B, S, H] of the decoder, after the final norm.

        inputs_embeds: [B, S, H]. position_ids: int64 [B, S]. attention_mask: None for plain causal, bool [B, P+S] for
        padding, or bool [B, 1, S, P+S] for any pattern, True where a row may look. cache: a transformers Cache that
        holds P positions, extended in place.
        """
        return self.mllm.model.language_model(
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., H]."""
        return self.mllm.lm_head(hidden)

    def decode(
        self, inputs_embeds: Tensor, position_ids: Tensor, attention_mask: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        """Logits [B, S, V], arguments as in `hidden_states`."""
        return self.head(self.hidden_states(inputs_embeds, position_ids, attention_mask, cache))

    def _check_vision_tower(self) -> None:
        """Refuses a config whose ViT would not fit the tiles, the mask convolution or the class token rule."""
        embed, config = self.vit.patch_embed, self.config
        built = (tuple(embed.img_size), tuple(embed.patch_size), self.vit.num_prefix_tokens)
        expected = ((config.tile, config.tile), (config.patch, config.patch), int(config.class_token))
        if built != expected:
            what = "a vision tower of (tile, patch, class tokens)"
            raise bad_model(f"{CONFIG}: expected {what} {expected}, model_args give {built}")


def empty_model(config: GarConfig) -> GarModel:
    """A model whose parameters are on the meta device: names and shapes, no memory. Computed buffers are real."""
    with _ParametersOnMeta():
        model = GarModel(config)
    for module in model.vit.modules():  # newer timm allocates its RoPE tables before it computes them
        on_meta = {name: buffer for name, buffer in module.named_buffers(recurse=False) if buffer.is_meta}
        for name, buffer in on_meta.items():
            setattr(module, name, torch.empty_like(buffer, device="cpu"))
        if on_meta:
            module.init_non_persistent_buffers()
    return model


class _ParametersOnMeta(TorchFunctionMode):
    """Allocations go to the meta device; `torch.device("meta")` would take the RoPE tables, made by arange, too."""

    _ALLOCATIONS = (torch.empty, torch.zeros, torch.ones)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in self._ALLOCATIONS:
            kwargs["device"] = "meta"
        return function(*args, **kwargs)


def _replace(embeddings: Tensor, where: Tensor, features: Tensor, what: str) -> Tensor:
    rows, places = features.numel() // features.shape[-1], int(where.sum())
    if places != rows:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected {rows} {what} in the prompt, one a feature, got {places}")
    return embeddings.masked_scatter(where.unsqueeze(-1), features.to(embeddings.dtype))
