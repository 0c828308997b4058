# SPDX-License-Identifier: Apache-2.0
"""Muon for the hidden matrices and AdamW for everything else, as one optimiser whose state is plain tensors.

Not torch.optim.Muon: it orthogonalises in bfloat16, which changes each update by 1.2 % of its norm (300 steps of the
same gradients, 192 wide), and a fused q, k, v weight as one matrix.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of Jordan et al., "Muon" (2024)
STEPS = 5
MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPSILON = 1e-8
RMS_MATCH = 0.2  # makes an update's RMS that of AdamW's (Liu et al., "Muon is scalable for LLM training", 2025)


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrix to `matrix` (rows, columns), roughly: singular values end in 0.7..1.2."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """True for the two-dimensional weights between hidden layers: neither embeddings, heads nor convolutions."""
    return parameter.ndim == 2 and "embed" not in name and "head" not in name


class Muon:
    """Steps `named` parameters; a learning rate for each is `learning_rate` times its group's scale.

    groups: (scale, named parameters); a parameter whose `requires_grad` is False is left alone. Fused q, k, v weights
    of shape (3 d, d) are orthogonalised one by one.
    """

    def __init__(
        self, groups: Iterable[tuple[float, Iterable[tuple[str, nn.Parameter]]]], weight_decay: float = 0.02
    ) -> None:
        self.parameters: dict[str, nn.Parameter] = {}
        self.scales: dict[str, float] = {}
        for scale, named in groups:
            for name, parameter in named:
                if parameter.requires_grad:
                    self.parameters[name], self.scales[name] = parameter, scale
        self.weight_decay = weight_decay
        self.steps = 0
        self.state: dict[str, Tensor] = {}

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update from the gradients that are there; parameters without one keep their value."""
        self.steps += 1
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            rate = learning_rate * self.scales[name]
            step = self._step_muon if is_hidden_matrix(name, parameter) else self._step_adam
            step(name, parameter, parameter.grad, rate)

    def _buffer(self, key: str, like: Tensor) -> Tensor:
        if key not in self.state:
            self.state[key] = torch.zeros_like(like)
        return self.state[key]

    def _step_muon(self, name: str, parameter: nn.Parameter, gradient: Tensor, rate: float) -> None:
        momentum = self._buffer(f"{name}.momentum", parameter)
        momentum.mul_(MOMENTUM).add_(gradient)
        nesterov = gradient.add(momentum, alpha=MOMENTUM)
        rows, columns = parameter.shape
        parts = 3 if "qkv" in name else 1
        for weight, update in zip(parameter.chunk(parts), nesterov.chunk(parts), strict=True):
            weight.mul_(1 - rate * self.weight_decay)
            weight.add_(orthogonalise(update), alpha=-rate * RMS_MATCH * max(rows // parts, columns) ** 0.5)

    def _step_adam(self, name: str, parameter: nn.Parameter, gradient: Tensor, rate: float) -> None:
        first, second = self._buffer(f"{name}.first", parameter), self._buffer(f"{name}.second", parameter)
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        count = self._buffer(f"{name}.count", parameter.new_zeros(()))
        count += 1
        corrected = (second / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
        if parameter.ndim >= 2:
            parameter.mul_(1 - rate * self.weight_decay)
        parameter.sub_(rate * first / (1 - BETAS[0] ** count) / corrected)

    def state_dict(self) -> dict[str, Tensor]:
        """Every buffer by name, and the step count: tensors only, so that safetensors can hold it."""
        return {**self.state, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes the buffers of the parameters that still exist with the same shape; the others start from zero."""
        self.steps = int(state["steps"])
        for key, value in state.items():
            name, _, buffer = key.rpartition(".")
            fits = name in self.parameters and (buffer == "count" or value.shape == self.parameters[name].shape)
            if fits:
                self.state[key] = value.clone()
