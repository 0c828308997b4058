# SPDX-License-Identifier: Apache-2.0
"""Initial weights."""

from __future__ import annotations

import numpy as np
import torch

from gar_export.train.initialise import GAIN, sinusoids, whitening


def test_whitened_responses_are_uncorrelated_and_of_the_gain() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=(4000, 6)) @ np.diag([3, 2, 2, 1, 1, 1]) + 5).astype(np.float32)
    mean, kernel = whitening(samples, components=6, floor=0.0)
    responses = (torch.from_numpy(samples) - mean) @ kernel.T
    assert torch.allclose(responses.T.cov(), GAIN**2 * torch.eye(6), atol=0.01)


def test_every_position_differs() -> None:
    positions = sinusoids(4, 16)
    assert positions.shape == (16, 16)
    assert float(torch.cdist(positions, positions).fill_diagonal_(9).min()) > 0.3
