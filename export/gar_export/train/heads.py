# SPDX-License-Identifier: Apache-2.0
"""Training-only heads that read attributes and places from patches, replay tokens and decoder states."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gar_export.model import GarModel
from gar_export.train.phrases import CLASSES_WANTED, RELATIONS
from gar_export.train.scenes import ABSENT, ATTRIBUTES

CLASSES = tuple(len(words) for words in ATTRIBUTES.values())
PLACE = 4  # x, y, depth, log area, see `place_of`
PLACE_WEIGHTS = (2.0, 1.0, 1.0, 0.5)  # the horizontal position is the slowest to be learnt
BACKGROUND_WEIGHT = 0.1
PATCH_COVER = 0.12  # of a patch, for an object to be its label
DEPTH_MEAN, DEPTH_STD = 0.54, 0.07  # metres, of random scenes
GRID_AMPLITUDE = 3.0  # of a token's place in its tile, in units of the token's RMS
PLACE_AMPLITUDE = 2.0  # of a region's place in a decoder state, alike
MENTIONED = 3  # regions that a question names first, whose places its last state must hold
PROMPTS = 5  # regions that a question can name
ROLES = 4  # of a value's word: in the first or the second part of a phrase, plain or after "not"
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


class DirectionHead(nn.Module):
    """Values that a state holds along directions of unit length, at unit RMS of the state.

    Unit lengths make it unable to amplify a faint signal. From attributes alone, the ViT leaves the horizontal place
    so faint that the decoder does not find it, and the decoder's states hold it too faintly to be compared: both losses
    stayed at the variance of the data for 1,800 steps.
    """

    def __init__(self, width: int, count: int, amplitude: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(count, width))
        self.amplitude = amplitude

    def forward(self, states: Tensor) -> Tensor:
        """states [..., width] -> values [..., count]."""
        values = F.rms_norm(states, states.shape[-1:]) @ F.normalize(self.directions, dim=-1).T
        return values / self.amplitude


class Heads(nn.Module):
    """All training-only heads of a model."""

    def __init__(self, model: GarModel) -> None:
        super().__init__()
        width = model.config.decoder.hidden
        self.patch = nn.Linear(model.config.vision_width, sum(count + 1 for count in CLASSES))
        self.region = RegionHead(width)
        self.linked = RegionHead(width)
        self.named = RegionHead(width)
        self.grid = DirectionHead(width, 2, GRID_AMPLITUDE)
        self.linked_place = DirectionHead(width, PLACE, PLACE_AMPLITUDE)
        self.named_place = DirectionHead(width, PLACE, PLACE_AMPLITUDE)
        self.ordinal = nn.Linear(width, PROMPTS)
        self.asked = nn.Linear(width, sum(CLASSES))
        self.alike = nn.Linear(width, len(CLASSES))
        self.match = nn.Linear(width, 1)
        self.role = nn.Linear(width, ROLES)
        self.wanted = nn.Linear(width, sum(CLASSES_WANTED) + 2)
        self.relation = nn.Linear(width, 2 * len(RELATIONS))
        self.fitting = nn.Linear(width, 1)
        self.holding = nn.Linear(width, 1)
        self.suits = nn.Linear(width, len(CLASSES))
        self.mentioned = DirectionHead(width, MENTIONED * PLACE, PLACE_AMPLITUDE)
        self.placed = DirectionHead(width, PROMPTS * PLACE, PLACE_AMPLITUDE)


def patch_labels(labels: NDArray[np.uint8], attributes: NDArray[np.uint8], patch: int) -> NDArray[np.int64]:
    """(patches, 4) attribute of the object that covers most of each patch; background is one past the last class.

    labels: uint8 (S, S), i + 1 is object i. attributes: uint8 (objects, 4).
    """
    side, kinds = labels.shape[0] // patch, len(attributes) + 1
    index = np.arange(side * patch) // patch
    patches = index[:, None] * side + index[None, :]
    cover = np.bincount((patches * kinds + labels).ravel(), minlength=side * side * kinds).reshape(-1, kinds)[:, 1:]
    found = attributes[cover.argmax(-1)].astype(np.int64)
    background = cover.max(-1) < PATCH_COVER * patch * patch
    return np.where(background[:, None], np.array(CLASSES), found)


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


def grid_loss(head: DirectionHead, features: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Squared error of every token's place in its tile; features [T, g * g, H], row-major."""
    side = round(features.shape[1] ** 0.5)
    axis = torch.linspace(-1, 1, side)
    places = torch.stack([axis.repeat(side), axis.repeat_interleave(side)], -1)
    errors = (head(features) - places).square().mean((0, 1))
    return errors.mean(), {"grid_x_error": errors[0].sqrt().item(), "grid_y_error": errors[1].sqrt().item()}


def place_loss(head: DirectionHead, states: Tensor, places: Tensor, name: str) -> tuple[Tensor, dict[str, float]]:
    """Squared error of places [n, k * PLACE] that the states [n, H] must hold; NaN where there is none."""
    known = ~places.isnan()
    errors = (head(states) - places.nan_to_num()).square() * known
    weights = errors.new_tensor(PLACE_WEIGHTS).repeat(places.shape[-1] // PLACE)
    with torch.no_grad():
        each = errors.unflatten(-1, (-1, PLACE)).sum((0, 1)) / known.unflatten(-1, (-1, PLACE)).sum((0, 1)).clamp(min=1)
    numbers = {f"{name}_{axis}_error": each[i].sqrt().item() for i, axis in enumerate(("x", "y", "depth"))}
    return (errors * weights).sum() / known.sum().clamp(min=1), numbers


def class_loss(head: nn.Linear, states: Tensor, classes: Tensor, name: str) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of the class that a state must hold, and the share that does. states [n, H], classes int64 [n]."""
    logits = head(states)
    return F.cross_entropy(logits, classes), {name: (logits.argmax(-1) == classes).float().mean().item()}


def alike_loss(head: nn.Linear, states: Tensor, alike: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of whether two regions have the same value of each attribute, both answers of equal weight, and
    the shares of alike pairs and of others that are found. states [n, H], alike bool [n, 4]."""
    logits = head(states)
    rare = logits.new_tensor([count - 1.0 for count in CLASSES])  # a random pair is alike once in `count`
    loss = F.binary_cross_entropy_with_logits(logits, alike.float(), torch.where(alike, rare, 1.0))
    found = (logits > 0) == alike
    numbers = {}
    for i, name in enumerate(ATTRIBUTES):
        for word, those in (("alike", alike[:, i]), ("unlike", ~alike[:, i])):
            if those.any():
                numbers[f"{word}_{name}"] = found[those, i].float().mean().item()
    return loss, numbers


def match_loss(
    head: nn.Linear, states: Tensor, matches: Tensor, name: str = "match"
) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of whether something is true of a state, such as that a word fits what it is compared with. states
    [n, H], matches float [n], 0 or 1."""
    logits = head(states)[:, 0]
    right = (logits > 0) == (matches > 0.5)
    return F.binary_cross_entropy_with_logits(logits, matches), {name: right.float().mean().item()}


def wanted_loss(head: nn.Linear, states: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of what a phrase asks for, which a name's state must hold, and the shares found where something is
    asked for. states [n, H]; wanted int64 [n, 5]: a class of CLASSES_WANTED for each attribute, 1 for foreign words."""
    parts = head(states).split([*CLASSES_WANTED, 2], -1)
    loss = sum(F.cross_entropy(part, wanted[:, i]) for i, part in enumerate(parts))
    names = (*ATTRIBUTES, "foreign")
    numbers = {}
    with torch.no_grad():
        for i, (name, part) in enumerate(zip(names, parts, strict=True)):
            asked = wanted[:, i] > 0
            if asked.any():
                numbers[f"wanted_{name}"] = (part.argmax(-1) == wanted[:, i])[asked].float().mean().item()
    return loss, numbers  # type: ignore[return-value]


def suits_loss(head: nn.Linear, states: Tensor, suits: Tensor, asked: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of whether a region has what a phrase asks of each attribute. states [n, H], suits and asked bool
    [n, 4]; what isn't asked doesn't count."""
    logits = head(states)
    losses = F.binary_cross_entropy_with_logits(logits, suits.float(), reduction="none")
    right = ((logits > 0) == suits)[asked].float().mean().item()
    return (losses * asked).sum() / asked.sum().clamp(min=1), {"suits": right}


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
