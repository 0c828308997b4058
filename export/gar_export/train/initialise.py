# SPDX-License-Identifier: Apache-2.0
"""Initial weights that shorten training: whitened patch kernels, sinusoidal positions, unit-gain matrices."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gar_export.model import GarModel
from gar_export.train.scenes import Scenes

PATCHES = 20_000  # sampled for the covariance
MASK_COMPONENTS = 48  # of a mask patch; the rest is noise at its edges
GAIN = 0.5  # RMS of whitened responses and of positions
EMBEDDING_STD = 0.05
LONGEST_PERIOD = 30  # patches; of the sinusoidal positions


def initialise(model: GarModel, scenes: Scenes, seed: int) -> None:
    """Overwrites all weights of `model`, from the statistics of patches of `scenes` and from `seed`."""
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            _fill_matrix(name, parameter, model)
    colours, masks = _sample_patches(scenes, model.config.patch, np.random.default_rng(seed))
    width = model.config.vision_width
    with torch.no_grad():
        mean, kernel = whitening(colours, width, 1e-3)
        model.vit.patch_embed.proj.weight.copy_(kernel.view_as(model.vit.patch_embed.proj.weight))
        _, mask_kernel = whitening(masks, MASK_COMPONENTS, 3e-3, width)
        side = model.config.patch
        model.mask_patch_embedding.weight.copy_((mask_kernel.view(width, 1, side, side) / 3).expand(-1, 3, -1, -1))
        # The convolution has no bias: the mean patch's response is taken off where the position is added.
        positions = sinusoids(model.config.tile // side, width) * GAIN - kernel @ mean
        model.vit.pos_embed.zero_()
        model.vit.pos_embed[0, model.vit.num_prefix_tokens :].copy_(positions)


def _fill_matrix(name: str, parameter: nn.Parameter, model: GarModel) -> None:
    """Normal weights of gain one; outputs into the residual stream are smaller the more layers add to it."""
    if "embed_tokens" in name:
        nn.init.normal_(parameter, std=EMBEDDING_STD)
        return
    layers = len(model.vit.blocks) if "timm_model" in name else model.config.decoder.layers
    into_residual = name.endswith(("attn.proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight"))
    gain = (2 * layers) ** -0.5 if into_residual else 1.0
    nn.init.normal_(parameter, std=gain * parameter.shape[1] ** -0.5)


def whitening(
    samples: NDArray[np.float32], components: int, floor: float, width: int | None = None
) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a kernel (width, D) whose responses to `samples` (N, D) are uncorrelated, of RMS about GAIN.

    The strongest `components` principal components, turned by a random rotation so that every channel sees all of them.
    floor: added to the eigenvalues, relative to the largest, so that noise is not blown up.
    """
    width = width or components
    mean = samples.mean(0)
    values, vectors = np.linalg.eigh(np.cov((samples - mean).T))
    values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
    whiten = torch.from_numpy((vectors / np.sqrt(values + floor * values[0])).T.astype(np.float32))
    rotation = torch.linalg.qr(torch.randn(width, width))[0][:, :components]
    return torch.from_numpy(mean), GAIN * rotation @ whiten


def sinusoids(side: int, width: int) -> Tensor:
    """(side * side, width) row-major positions: sines and cosines of column and row, a quarter of the channels each."""
    frequencies = LONGEST_PERIOD ** -(torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (columns, rows)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], 1)


def _sample_patches(
    scenes: Scenes, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Patches that touch an object: colours (N, 3 * side * side) in -1..1, masks (N, side * side) of their main
    object."""
    colours: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_]] = []
    height, width = scenes.labels.shape[1:]
    while len(colours) < PATCHES:
        scene = rng.integers(len(scenes))
        top, left = rng.integers(height - side), rng.integers(width - side)
        labels = scenes.labels[scene, top : top + side, left : left + side]
        if labels.any():
            main = np.bincount(labels[labels > 0]).argmax()
            colours.append(scenes.tiles[scene, :, top : top + side, left : left + side].reshape(-1))
            masks.append((labels == main).reshape(-1))
    return np.stack(colours).astype(np.float32) / 127.5 - 1, np.stack(masks).astype(np.float32)
