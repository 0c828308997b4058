"""Training-only heads that read attributes and places from patches, replay tokens and decoder states."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gar_ros.export.model import GarModel
from gar_ros.export.train.scenes import ABSENT, ATTRIBUTES

CLASSES = tuple(len(words) for words in ATTRIBUTES.values())
PLACE = 4  # x, y, depth, log area, see `place_of`
PLACE_WEIGHTS = (2.0, 1.0, 1.0, 0.5)  # the horizontal position is the slowest to be learnt
BACKGROUND_WEIGHT = 0.1
PATCH_COVER = 0.12  # of a patch, for an object to be its label
DEPTH_MEAN, DEPTH_STD = 0.54, 0.07  # metres, of random scenes
GRID_AMPLITUDE = 3.0  # of a token's place in its tile, in units of the token's RMS
IGNORED = -100  # cross entropy's label of absent regions


class RegionHead(nn.Module):
    """Attributes and place of a region from its tokens, pooled by attention."""

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        self.mix = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, sum(CLASSES) + PLACE))

    def forward(self, tokens: Tensor) -> tuple[list[Tensor], Tensor]:
        """tokens [..., n, width] -> logits [..., classes] for each attribute, place [..., PLACE]."""
        pooled = (self.score(tokens).softmax(-2) * tokens).sum(-2)
        *logits, place = self.mix(pooled).split([*CLASSES, PLACE], -1)
        return logits, place


class GridHead(nn.Module):
    """A token's place in its tile, read along two directions of unit length from the token at unit RMS.

    Unit lengths make it unable to amplify a faint signal. From attributes alone, the ViT leaves the horizontal place
    so faint that the decoder does not find it: that loss stayed at the variance for 1,800 steps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(2, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [..., width] -> x, y [..., 2]."""
        return F.rms_norm(tokens, tokens.shape[-1:]) @ F.normalize(self.directions, dim=-1).T


class Heads(nn.Module):
    """All training-only heads of a model."""

    def __init__(self, model: GarModel) -> None:
        super().__init__()
        width = model.config.decoder.hidden
        self.patch = nn.Linear(model.config.vision_width, sum(count + 1 for count in CLASSES))
        self.region = RegionHead(width)
        self.linked = RegionHead(width)
        self.named = RegionHead(width)
        self.grid = GridHead(width)


def patch_labels(labels: NDArray[np.uint8], attributes: NDArray[np.uint8], patch: int) -> NDArray[np.int64]:
    """(B, patches, 4) attribute of the object that covers most of each patch; background is one past the last class.

    labels: uint8 (B, S, S), i + 1 is object i. attributes: uint8 (B, objects, 4).
    """
    count, side = labels.shape[0], labels.shape[1] // patch
    cut = labels.reshape(count, side, patch, side, patch)
    cover = np.stack([(cut == number + 1).sum((2, 4)) for number in range(attributes.shape[1])], -1).reshape(
        count, side * side, -1
    )
    main = cover.argmax(-1)
    found = np.take_along_axis(attributes.astype(np.int64), main[:, :, None], 1)
    background = cover.max(-1) < PATCH_COVER * patch * patch
    return np.where(background[:, :, None], np.array(CLASSES), found)


def patch_loss(head: nn.Linear, patches: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of every attribute of every patch, and the accuracies on objects. patches [B, n, D], labels [B,
    n, 4]."""
    logits = head(patches).split([count + 1 for count in CLASSES], -1)
    on_object = labels[..., 0] < CLASSES[0]
    weights = torch.where(on_object, 1.0, BACKGROUND_WEIGHT)
    weights = weights / weights.sum()
    losses = [F.cross_entropy(part.transpose(1, 2), labels[..., i], reduction="none") for i, part in enumerate(logits)]
    with torch.no_grad():
        accuracy = {
            f"patch_{name}": (part.argmax(-1) == labels[..., i])[on_object].float().mean().item()
            for i, (name, part) in enumerate(zip(ATTRIBUTES, logits, strict=True))
        }
    return sum((loss * weights).sum() for loss in losses), accuracy  # type: ignore[return-value]


def grid_loss(head: GridHead, features: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Squared error of every token's place in its tile, in GRID_AMPLITUDE; features [T, g * g, H], row-major."""
    side = round(features.shape[1] ** 0.5)
    axis = torch.linspace(-1, 1, side)
    places = torch.stack([axis.repeat(side), axis.repeat_interleave(side)], -1)
    errors = (head(features) / GRID_AMPLITUDE - places).square().mean((0, 1))
    return errors.mean(), {"grid_x_error": errors[0].sqrt().item(), "grid_y_error": errors[1].sqrt().item()}


def place_of(mask: NDArray[np.bool_], depth: float) -> NDArray[np.float32]:
    """Normalised place of a region: centroid x and y in -1..1 of the picture `mask` (H, W), depth, log of its area."""
    height, width = mask.shape
    rows, columns = mask.sum(1), mask.sum(0)
    area = rows.sum()
    x = (columns @ np.arange(width)) / area / width * 2 - 1
    y = (rows @ np.arange(height)) / area / height * 2 - 1
    return np.array([x, y, (depth - DEPTH_MEAN) / DEPTH_STD, np.log(area / mask.size) / 2 + 2], np.float32)


def region_loss(
    head: RegionHead, tokens: Tensor, attributes: Tensor, places: Tensor | None, name: str
) -> tuple[Tensor, dict[str, float]]:
    """Loss and accuracies of regions; those whose attributes are ABSENT don't count.

    tokens [B, R, n, D]. attributes int64 [B, R, 4]. places float [B, R, PLACE], None when the tokens can't know them.
    """
    logits, place = head(tokens)
    present = attributes[..., 0] != ABSENT
    targets = attributes.masked_fill(~present[..., None], IGNORED)
    loss = sum(F.cross_entropy(part.flatten(0, 1), targets[..., i].flatten()) for i, part in enumerate(logits))
    with torch.no_grad():
        numbers = {
            f"{name}_{attribute}": (part.argmax(-1) == targets[..., i])[present].float().mean().item()
            for i, (attribute, part) in enumerate(zip(ATTRIBUTES, logits, strict=True))
        }
    if places is None:
        return loss, numbers  # type: ignore[return-value]
    errors = (place - places)[present].square()
    numbers |= {f"{name}_{axis}_error": errors[:, i].mean().sqrt().item() for i, axis in enumerate(("x", "y", "depth"))}
    return loss + (errors * errors.new_tensor(PLACE_WEIGHTS)).mean(), numbers
