# SPDX-License-Identifier: Apache-2.0
"""The optimiser."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gar_export.train.muon import Muon, is_hidden_matrix, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (4, 16), (16, 4)])
def test_orthogonalise_makes_singular_values_about_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_hidden_matrices_are_neither_embeddings_nor_kernels_nor_heads() -> None:
    assert is_hidden_matrix("blocks.0.attn.qkv.weight", torch.zeros(6, 2))
    assert not is_hidden_matrix("embed_tokens.weight", torch.zeros(6, 2))
    assert not is_hidden_matrix("heads.patch.weight", torch.zeros(6, 2))
    assert not is_hidden_matrix("patch_embed.proj.weight", torch.zeros(6, 2, 2, 2))


def test_it_fits_a_linear_map() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 6)
    target = torch.randn(6, 6)
    inputs = torch.randn(64, 6)
    optimiser = Muon([(1.0, layer.named_parameters())], weight_decay=0.0)
    for step in range(300):
        optimiser.zero_grad()
        loss = (layer(inputs) - inputs @ target.T).square().mean()
        loss.backward()
        optimiser.step(0.2 * (1 - step / 300))
    assert float(loss.detach()) < 0.01


def test_a_resumed_optimiser_continues_exactly() -> None:
    def run(layer: nn.Linear, optimiser: Muon, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            layer(torch.ones(1, 3)).square().sum().backward()
            optimiser.step(0.01)

    torch.manual_seed(0)
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    two.load_state_dict(one.state_dict())
    straight = Muon([(1.0, one.named_parameters())])
    run(one, straight, 4)
    first = Muon([(1.0, two.named_parameters())])
    run(two, first, 2)
    second = Muon([(1.0, two.named_parameters())])
    second.load_state_dict(first.state_dict())
    run(two, second, 2)
    assert second.steps == 4
    assert torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)


def test_scale_zero_leaves_a_group_alone() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    optimiser = Muon([(0.0, layer.named_parameters())])
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step(0.1)
    assert torch.equal(layer.weight, before)
