# SPDX-License-Identifier: Apache-2.0
"""TensorRT for RTX's plan of two layers of GAR-1B's decoder with a static KV cache, made without a GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from gar_export.decoder_graph import write_decoder
from gar_export.random_checkpoint import weight_shapes
from gar_export.static_decoder_graph import StaticDecoderWriter
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from tests.export.rtx_engine import build_for_sm86
from tests.export.sizes import GAR_1B, resized

LAYERS, POSITIONS = 2, 4096

_KERNEL = re.compile(r"Name: (.*?), LayerType: \w+, Inputs: \[(.*?)\], Constants")


@dataclass(frozen=True)
class Plan:
    """An engine's size and kernels, each with its inputs as text; those of the second profile have _myl1_ in their
    names."""

    nbytes: int
    weight_bytes: int
    kernels: dict[str, str]

    def of_profile(self, number: int) -> dict[str, str]:
        return {name: inputs for name, inputs in self.kernels.items() if f"_myl{number}_" in name}


class RandomWeights:
    """In place of a checkpoint's Weights."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._shapes = shapes
        self.nbytes = 0  # in float16, of what was read

    def names(self) -> list[str]:
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def read(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        tensor = torch.randn(self._shapes[name], generator=torch.Generator().manual_seed(crc32(name.encode()))) * 0.02
        self.nbytes += 2 * tensor.numel()
        return tensor.to(dtype)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    config = resized(default_model_dir() / "checkpoint", GAR_1B)
    config = replace(config, decoder=replace(config.decoder, layers=LAYERS, max_positions=POSITIONS))
    weights: Any = RandomWeights(weight_shapes(config))
    path = tmp_path_factory.mktemp("plan") / DECODER
    write_decoder(
        path, config, weights, np.ones(config.decoder.head_dim // 2, np.float32), np.float16, writer=StaticDecoderWriter
    )
    manifest = ModelDir.open(default_model_dir()).manifest
    sizes = msgspec.structs.replace(manifest.sizes, **{f: getattr(config.decoder, f) for f in ("hidden", "layers")})
    sizes = msgspec.structs.replace(sizes, heads=32, kv_heads=8, head_dim=64, max_positions=POSITIONS)
    profiles = graph_profiles(msgspec.structs.replace(manifest, kv_cache="static", sizes=sizes))[DECODER]
    size, lines = build_for_sm86(path, profiles)
    return Plan(size, weights.nbytes, dict(_KERNEL.findall("\n".join(lines))))


def _reading(kernels: dict[str, str], layer: int) -> Iterator[str]:
    """Kernels that read a layer's cache, but for the one that writes it."""
    return (name for name, inputs in kernels.items() if f"present.{layer}." in inputs and "Scat" not in name)


@pytest.mark.parametrize("profile", [0, 1])
def test_attention_is_one_kernel_in_every_layer(plan: Plan, profile: int) -> None:
    assert sum("_mha_" in name for name in plan.of_profile(profile)) == LAYERS


@pytest.mark.parametrize("profile", [0, 1])
def test_keys_and_values_are_not_repeated_for_the_heads_that_share_them(plan: Plan, profile: int) -> None:
    reading = list(_reading(plan.of_profile(profile), layer=1))
    assert len(reading) == 2
    assert all("Slic" in name and "Repl" not in name for name in reading)


def test_both_profiles_share_the_weights(plan: Plan) -> None:
    assert plan.nbytes < 1.1 * plan.weight_bytes
