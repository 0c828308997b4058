"""The torch model against what the released code computed, float32 (tolerances: golden/README.md)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gar_ros.engine.replay import RoiConvention, replay_weights
from gar_ros.engine.tiling import mask_ids, normalise, tile_pixels
from gar_ros.export.model import GarModel
from gar_ros.export.verify import greedy
from tests.engine.golden import GRID, SINGLE_FRAME, TILE, GoldenCase, golden_case

FEATURES, REPLAY, LOGITS = 2e-5, 1e-5, 3e-3
STEPS = 16
CASES = (*SINGLE_FRAME, "demo_assets/demo_1")
VIDEO = "cases/video_3_frames"

Encoded = tuple[GoldenCase, GarModel, Tensor]


@pytest.fixture(scope="module", params=CASES)
def encoded(request: pytest.FixtureRequest, shared: Path, models: dict[str, GarModel]) -> Encoded:
    """A case, its model and the model's image features (T, 256, C)."""
    case = _demo_case(shared) if request.param.startswith("demo") else golden_case(shared, request.param)
    model = models[case.info["checkpoint"]]
    return case, model, model.encode_tiles(*_model_inputs(_official_pixels(case), _inside(case)))


def test_image_features_and_merged_map(encoded: Encoded) -> None:
    case, model, features = encoded
    assert _largest(features, case.arrays["image_features"]) <= FEATURES
    if "merged_map" in case.arrays:
        merged = model.merge_tiles(features[1:], case.grid).permute(2, 0, 1)
        assert _largest(merged, case.arrays["merged_map"]) <= FEATURES


def test_patches_of_the_first_tile(encoded: Encoded) -> None:
    case, model, _ = encoded
    patches = model.encode_patches(*_model_inputs(_official_pixels(case)[1:2], _inside(case)[1:2]))[0]
    # The fixture holds every eighth token; token 0 is the class token if there is one.
    expected = case.arrays["vision_last_hidden.tile1_every8"]
    if model.config.class_token:
        patches, expected = patches[7:], expected[1:]
    assert _largest(patches[::8], expected) <= FEATURES


def test_replay(encoded: Encoded) -> None:
    case, model, features = encoded
    for name, variant in case.info["variants"].items():
        for token, replay in zip(variant["bboxes"], _replay(case, model, features, name), strict=True):
            key = f"{name}.replay_{token}"
            if key in case.arrays:
                assert _largest(replay, case.arrays[key]) <= REPLAY, key


def test_input_embeddings(encoded: Encoded) -> None:
    case, model, features = encoded
    embeds = _embeds(case, model, features, "official")
    assert _largest(embeds[0], case.arrays["official.inputs_embeds"]) <= FEATURES


def test_logits_and_greedy_ids(encoded: Encoded) -> None:
    case, model, features = encoded
    for name, variant in case.info["variants"].items():
        ids, logits = greedy(model, _embeds(case, model, features, name), STEPS)
        used = torch.from_numpy(case.arrays["used_ids"].astype(np.int64))
        assert ids == variant["generated_ids"], name
        assert _largest(logits[:, used], case.arrays[f"{name}.logits_steps"]) <= LOGITS, name


def test_video_frames(shared: Path, models: dict[str, GarModel]) -> None:
    """One tile a frame, no thumbnail; the crop token of frame N is replayed from frame N alone."""
    folder = shared / "golden" / VIDEO
    case = GoldenCase(np.empty((0, 0, 3), np.uint8), [], _json(folder), np.load(folder / "arrays.npz"))
    model = models[case.info["checkpoint"]]
    features = model.encode_tiles(*_model_inputs(case.arrays["pixel_u8"], case.arrays["mask_ids"] != 5))
    assert _largest(features, case.arrays["image_features"]) <= FEATURES

    replays = []
    for frame, (token, box) in enumerate(case.info["bboxes"].items()):
        wy, wx = map(torch.from_numpy, replay_weights(np.array([box]), (1, 1), GRID, "released"))
        replays.append(model.replay(features[frame : frame + 1], (1, 1), wy, wx))
        assert _largest(replays[-1][0], case.arrays[f"replay_{token}"]) <= REPLAY
    embeds = model.splice(_ids(case), features[None], torch.cat(replays)[None])
    assert _largest(embeds[0], case.arrays["inputs_embeds"]) <= FEATURES

    ids, logits = greedy(model, embeds, STEPS)
    used = torch.from_numpy(case.arrays["used_ids"].astype(np.int64))
    assert ids == case.info["generated_ids"]
    assert _largest(logits[:, used], case.arrays["logits_steps"]) <= LOGITS


def _demo_case(shared: Path) -> GoldenCase:
    folder, pictures = shared / "golden/demo_assets/demo_1", shared / "gar_bench/demo"
    image = np.asarray(Image.open(pictures / "demo_image_1.png").convert("RGB"))
    mask = np.asarray(Image.open(pictures / "demo_mask_1.png").convert("L")) != 0
    return GoldenCase(image, [mask], _json(folder), np.load(folder / "arrays.npz"))


def _json(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "case.json").read_text()))


def _official_pixels(case: GoldenCase) -> np.ndarray:
    """(T, 3, S, S) uint8. Pillow's bicubic is off by one in a few places, which are not this file's matter."""
    pixels = case.arrays.get("pixel_u8")
    if pixels is None:
        pixels = tile_pixels(case.image, case.grid, TILE)
        pixels.ravel()[case.arrays["pixel_u8_fix_index"]] = case.arrays["pixel_u8_fix_value"]
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == case.info["sha256"]["pixel_u8"]
    return np.asarray(pixels)


def _inside(case: GoldenCase) -> np.ndarray:
    return mask_ids(case.masks, case.prompt_numbers, case.grid, TILE) != 5


def _model_inputs(pixels: np.ndarray, inside: np.ndarray) -> tuple[Tensor, Tensor]:
    half = (0.5, 0.5, 0.5)
    return torch.from_numpy(normalise(pixels, half, half)), torch.from_numpy(inside[:, None].astype(np.float32))


def _ids(case: GoldenCase) -> Tensor:
    return torch.from_numpy(case.arrays["input_ids"].astype(np.int64))[None]


def _replay(case: GoldenCase, model: GarModel, features: Tensor, variant: str) -> Tensor:
    """(R, 256, C): the replay tokens of a variant's boxes, in the order of its crop tokens."""
    boxes = np.array(list(case.info["variants"][variant]["bboxes"].values()))
    convention: RoiConvention = "correct" if "correct_roi" in variant else "released"
    wy, wx = map(torch.from_numpy, replay_weights(boxes, case.grid, GRID, convention))
    return model.replay(features[1:], case.grid, wy, wx)


def _embeds(case: GoldenCase, model: GarModel, features: Tensor, variant: str) -> Tensor:
    """(1, L, C): what the decoder reads; "single_bos" variants drop the second BOS of the evaluation code."""
    ids = _ids(case)[:, 1:] if "single_bos" in variant else _ids(case)
    return model.splice(ids, features[None], _replay(case, model, features, variant)[None])


def _largest(found: Tensor, expected: np.ndarray) -> float:
    """The largest difference; printed for `pytest -rP`."""
    difference = float(np.abs(found.numpy() - expected).max())
    print(f"largest difference {difference:.2g} of values up to {np.abs(expected).max():.3g}")
    return difference
