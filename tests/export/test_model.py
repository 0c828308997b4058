# SPDX-License-Identifier: Apache-2.0
"""Parameter names and shapes of the released sizes; small properties of the torch model."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from gar_export.checkpoint import HEAD
from gar_export.config import GarConfig
from gar_export.model import GarModel, empty_model
from gar_ros.errors import ErrorCode, GarError
from tests.export.sizes import GAR_1B, GAR_8B, resized
from tests.export.small_checkpoint import SHAPES, small_config
from tests.fixtures_export import ByName
from tests.fixtures_golden import FindGolden

SMALL_TILE = 56  # pixels: 4 x 4 patches, 2 x 2 tokens


@pytest.mark.parametrize(
    ("checkpoint", "sizes", "fixture"),
    [("small_1b", GAR_1B, "statedict_gar_1b.json"), ("small_8b", GAR_8B, "statedict_gar_8b.json")],
)
def test_names_and_shapes_equal_the_released_models(
    golden_path: FindGolden, small_checkpoint: ByName, checkpoint: str, sizes: dict[str, Any], fixture: str
) -> None:
    released = json.loads(golden_path(fixture).read_text())
    model = empty_model(resized(small_checkpoint(checkpoint), sizes))
    found = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert all(parameter.is_meta for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == released["parameters_unique"]
    if released["tie_word_embeddings"]:
        del found[HEAD]
    assert found == {name: entry["shape"] for name, entry in released["tensors"].items()}


@pytest.fixture(scope="module")
def small() -> GarModel:
    """Fresh weights; one ViT block on tiles of 56 px, and a decoder 32 wide with 300 tokens."""
    config, preprocessor = small_config(SHAPES["small_1b"])
    arguments = config["mllm_config"]["vision_config"]["model_args"]
    arguments |= {"embed_dim": 64, "depth": 1, "num_heads": 4, "img_size": [SMALL_TILE] * 2, "ref_feat_shape": [4, 4]}
    config["mllm_config"]["text_config"]["vocab_size"] = 300
    config["mllm_config"]["image_token_id"] = 290
    config["crop_tokens_ids"] = [291, 292, 293, 294, 295]
    preprocessor["tile_size"] = SMALL_TILE
    torch.manual_seed(0)
    return GarModel(GarConfig.from_json(config, preprocessor))


def test_tiles_merge_row_by_row(small: GarModel) -> None:
    """Two columns, one row of tiles whose 2 x 2 tokens are numbered 0..3 and 4..7."""
    tiles = torch.arange(8.0).view(2, 4, 1)
    assert small.merge_tiles(tiles, (2, 1))[..., 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert small.merge_tiles(tiles, (1, 2))[..., 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_replay_reads_the_map_with_the_given_weights(small: GarModel) -> None:
    """Rows 1 and 0, columns 3 and the mean of all, of the map [[0, 1, 4, 5], [2, 3, 6, 7]]."""
    tiles = torch.arange(8.0).view(2, 4, 1)
    wy = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    wx = torch.tensor([[[0.0, 0.0, 0.0, 1.0], [0.25, 0.25, 0.25, 0.25]]])
    assert small.replay(tiles, (2, 1), wy, wx)[0, :, 0].tolist() == [7, 4.5, 5, 2.5]


def test_replay_of_a_batch_equals_one_by_one(small: GarModel) -> None:
    features, wy, wx = torch.randn(3, 2, 4, 32), torch.rand(3, 5, 2, 2), torch.rand(3, 5, 2, 4)
    batch = small.replay(features, (2, 1), wy, wx)
    assert batch.shape == (3, 5, 4, 32)
    for index in range(3):
        torch.testing.assert_close(batch[index], small.replay(features[index], (2, 1), wy[index], wx[index]))


def test_the_mask_reaches_only_its_own_patches_embedding(small: GarModel) -> None:
    """A tile without a mask equals one encoded beside a masked tile: tiles don't see each other."""
    pixels, mask = torch.rand(2, 3, SMALL_TILE, SMALL_TILE), torch.zeros(2, 1, SMALL_TILE, SMALL_TILE)
    mask[1, :, :14, :14] = 1
    with torch.no_grad():
        both = small.encode_tiles(pixels, mask)
        without = small.encode_tiles(pixels, torch.zeros_like(mask))
    torch.testing.assert_close(both[0], without[0], atol=1e-6, rtol=0)
    assert (both[1] - without[1]).abs().max() > 1e-4


def test_features_take_the_places_of_their_tokens_in_order(small: GarModel) -> None:
    ids = torch.tensor([[5, 290, 290, 292, 7, 291]])
    image, replay = torch.full((1, 1, 2, 32), 2.0), torch.arange(2.0).view(1, 2, 1, 1).expand(1, 2, 1, 32)
    spliced = small.splice(ids, image, replay)[0, :, 0].tolist()
    assert spliced[1:4] == [2, 2, 0]
    assert spliced[5] == 1
    torch.testing.assert_close(small.splice(ids, image, replay)[0, 4], small.embed(torch.tensor(7)))


def test_a_prompt_with_another_number_of_image_tokens_is_refused(small: GarModel) -> None:
    with pytest.raises(GarError, match="expected 4 image tokens in the prompt, one a feature, got 1") as refusal:
        small.splice(torch.tensor([[290]]), torch.zeros(1, 1, 4, 32), torch.zeros(1, 0, 4, 32))
    assert refusal.value.code == ErrorCode.INVALID_REQUEST


def test_every_parameter_gets_a_gradient(small: GarModel) -> None:
    """From the logits back through replay, projector, ViT and mask embedding."""
    features = small.encode_tiles(torch.rand(2, 3, 56, 56), torch.ones(2, 1, 56, 56))
    replay = small.replay(features[1:], (1, 1), torch.rand(1, 2, 2), torch.rand(1, 2, 2))
    ids = torch.tensor([[1] + [290] * 8 + [291] * 4 + [2, 3]])
    small.decode(small.splice(ids, features[None], replay[None]), torch.arange(15)[None])[0, -1].logsumexp(0).backward()
    assert [name for name, parameter in small.named_parameters() if parameter.grad is None] == []
    assert small.mask_patch_embedding.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_a_pattern_mask_keeps_packed_questions_apart(small: GarModel) -> None:
    """Two questions on one prefix give the logits that each gives alone."""
    embeds = torch.randn(1, 7, 32)  # prefix 0..2, questions 3..4 and 5..6
    visible = torch.ones(7, 7, dtype=torch.bool).tril()
    visible[5:, 3:5] = False
    positions = torch.tensor([[0, 1, 2, 3, 4, 3, 4]])
    with torch.no_grad():
        packed = small.decode(embeds, positions, visible[None, None])
        alone = small.decode(embeds[:, [0, 1, 2, 5, 6]], torch.arange(5)[None])
    torch.testing.assert_close(packed[0, 5:], alone[0, 3:])


def test_a_vision_tower_of_another_patch_size_is_refused() -> None:
    config, preprocessor = small_config(SHAPES["small_1b"])
    config["mllm_config"]["vision_config"]["model_args"]["patch_size"] = 28
    with pytest.raises(
        GarError, match=r"expected a vision tower .* \(14, 14\), 1\), model_args give .* \(28, 28\), 1\)"
    ) as refusal:
        empty_model(GarConfig.from_json(config, preprocessor))
    assert refusal.value.code == ErrorCode.BAD_MODEL
