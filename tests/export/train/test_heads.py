# SPDX-License-Identifier: Apache-2.0
"""Labels and losses beside the answers'."""

from __future__ import annotations

import numpy as np
import torch

from gar_export.train.heads import (
    CLASSES,
    GRID_AMPLITUDE,
    PLACE,
    DirectionHead,
    RegionHead,
    grid_loss,
    patch_labels,
    place_loss,
    place_of,
    region_loss,
)
from gar_export.train.scenes import ABSENT


def test_a_patch_is_labelled_with_the_object_that_covers_most_of_it() -> None:
    labels = np.zeros((4, 4), np.uint8)
    labels[:2, :2] = 1
    labels[:2, 2] = 1
    labels[:2, 3] = 2
    labels[3, 0] = 2
    attributes = np.array([[3, 1, 0, 1], [5, 2, 1, 0]], np.uint8)
    found = patch_labels(labels, attributes, patch=2)
    background = list(CLASSES)
    assert found.tolist() == [[3, 1, 0, 1], [3, 1, 0, 1], [5, 2, 1, 0], background]


def test_a_centred_region_at_the_mean_depth_is_at_zero() -> None:
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    x, y, depth, _ = place_of(mask, depth=0.54)
    assert abs(x) < 0.12 and abs(y) < 0.12 and depth == 0


def test_absent_regions_do_not_count() -> None:
    torch.manual_seed(0)
    head = RegionHead(8)
    tokens = torch.randn(1, 2, 4, 8)
    places = torch.zeros(1, 2, 4)
    attributes = torch.tensor([[[1, 1, 1, 1], [ABSENT] * 4]])
    both, _ = region_loss(head, tokens, attributes, places, "region")
    alone, _ = region_loss(head, tokens[:, :1], attributes[:, :1], places[:, :1], "region")
    assert torch.allclose(both, alone)


def test_a_place_of_the_wanted_amplitude_costs_nothing() -> None:
    """Tokens of unit RMS whose first two channels are their place in a tile of 2 x 2 tokens."""
    head = DirectionHead(64, 2, GRID_AMPLITUDE)
    with torch.no_grad():
        head.directions.zero_()
        head.directions[0, 0] = head.directions[1, 1] = 7.0  # their length does not count
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]) * GRID_AMPLITUDE
    rest = torch.full((4, 62), ((64 - 2 * GRID_AMPLITUDE**2) / 62) ** 0.5)
    tokens = torch.cat([corners, rest], 1)[None]
    loss, numbers = grid_loss(head, tokens)
    assert float(loss) < 1e-6
    assert numbers["grid_x_error"] < 1e-3
    faint = tokens.clone()
    faint[..., :2] /= 100
    assert float(grid_loss(head, faint)[0]) > 0.9


def test_places_that_are_not_there_cost_nothing() -> None:
    """Two states of unit RMS: the first holds a place and has no second one, the other holds both wrongly."""
    head = DirectionHead(64, 2 * PLACE, 1.0)
    with torch.no_grad():
        head.directions.copy_(torch.eye(2 * PLACE, 64))
    states = torch.zeros(2, 64)
    states[:, 0], states[:, 63] = 1.0, 63**0.5
    places = torch.zeros(2, 2 * PLACE)
    places[0, 0] = 1.0
    places[0, PLACE:] = float("nan")
    assert float(place_loss(head, states[:1], places[:1], "named")[0]) < 1e-6
    loss, numbers = place_loss(head, states, places, "named")
    assert float(loss) > 0.1
    assert numbers["named_x_error"] > 0.5 and numbers["named_y_error"] < 1e-3
