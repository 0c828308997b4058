# SPDX-License-Identifier: Apache-2.0
"""GAR-Bench asked with the oddities of the released evaluation, held to what the released code itself computed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from gar_ros.bench.as_released import ReleasedPrompts, encode_as_released
from gar_ros.bench.gar_items import read_items
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import MANIFEST, TOKENIZER
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from tests.bench.conftest import RunGar, squares, write_items
from tests.fixtures_export import ByName, OpenEngine
from tests.fixtures_golden import FindCase

THREE = "cases/three_prompts"
SIXTH = 700
"""A token of gar-tiny that its texts never have; here it is the sixth region's crop token."""


@pytest.fixture(scope="module")
def six_regions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny with one crop token more than it has prompts, as the released tokenizer has many."""
    folder = tmp_path_factory.mktemp("model") / "six"
    shutil.copytree(checkout / "models/gar-tiny", folder, copy_function=shutil.copyfile)
    text = (folder / TOKENIZER).read_text()
    tokenizer = json.loads(text)
    (token,) = [token for token in tokenizer["added_tokens"] if token["id"] == SIXTH]
    changed = text.replace(token["content"], "<|reserved_special_token_7|>").encode()
    (folder / TOKENIZER).write_bytes(changed)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][TOKENIZER] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def picture_and_regions(count: int) -> tuple[np.ndarray, list[Region]]:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    return image, [Region.from_mask(f"Prompt{number}", mask) for number, mask in enumerate(squares(count))]


def test_three_regions_are_the_released_evaluations_tokens_and_answer(
    golden_case: FindCase, golden_engine: OpenEngine, golden_export: ByName
) -> None:
    case, engine = golden_case(THREE), golden_engine("tiny_gar_1b")
    prompts = ReleasedPrompts(ModelDir.open(golden_export("tiny_gar_1b")))
    question = case.info["question"]
    ids = prompts.prefix("question", case.tiles, 3) + prompts.question(question, 3)
    assert ids == case.arrays["input_ids"].tolist()
    regions = [Region.from_mask(f"Prompt{number}", mask) for number, mask in enumerate(case.masks)]
    frame = encode_as_released(engine, prompts, case.images[0], regions, case.info["max_num_tiles"])
    answer = frame.ask(question, max_tokens=16)
    assert list(answer.token_ids) == case.variants["official"].generated_ids


def test_the_text_about_seven_regions_is_tokenised_as_a_whole(golden_export: ByName) -> None:
    model = ModelDir.open(golden_export("tiny_gar_1b"))
    crops = [f"<|reserved_special_token_{number + 2}|>" for number in range(7)]
    names = "".join(f"<Prompt{number}>; " for number in range(7))
    lines = "".join(f"<Prompt{number}>: {crop * 256}\n" for number, crop in enumerate(crops))
    question = "Which are on <Prompt3>?\nOptions:\nA. <Prompt6>, <Prompt5>, and <Prompt4>\nB. <Prompt0>"
    form = model.manifest.prompt
    text = (
        f"{form.before_image}{'<|image|>' * 512}{form.after_image}"
        f"There are some objects I am curious about: {names}\n{lines}\n{question}{form.after_text}"
    )
    expected = Tokenizer.from_file(str(model.file(TOKENIZER))).encode(text, add_special_tokens=False).ids
    prompts = ReleasedPrompts(model)
    ids = prompts.prefix("question", 2, 7) + prompts.question(question, 7)
    assert ids == [model.manifest.tokens.bos, *expected]


def test_the_sixth_region_has_a_name_and_crop_tokens_but_neither_mask_nor_replay(six_regions: Path) -> None:
    engine, prompts = GarEngine.open(six_regions, "cpu", threads=1), ReleasedPrompts(ModelDir.open(six_regions))
    image, regions = picture_and_regions(6)
    ids = prompts.prefix("question", 1, 6)
    assert ids.count(SIXTH) == engine.manifest.sizes.tile_tokens
    assert ids[:2] == [engine.manifest.tokens.bos] * 2
    asked = "Is <Prompt0> left of <Prompt5>?"
    frame = encode_as_released(engine, prompts, image, regions, None)
    first_five = encode_as_released(engine, prompts, image, regions[:5], None)
    np.testing.assert_array_equal(frame.features, first_five.features)
    answer = frame.ask(asked, max_tokens=4)

    # By hand: the first five regions' features, replayed from the sixth one's box; the sixth's crop tokens as they are.
    sixth_box = [Region(region.id, region.mask, regions[5].box) for region in regions[:5]]
    by_hand = engine.encode_image(image, sixth_box)
    ids += prompts.question(asked, 6)
    embeds = engine.decoder.embed(ids)
    embeds[np.array(ids) == engine.manifest.tokens.image] = on_host(by_hand.features).reshape(-1, embeds.shape[1])
    for crop, replay in zip(engine.manifest.tokens.crops, on_host(by_hand.replay), strict=True):
        embeds[np.array(ids) == crop] = replay
    assert len(embeds) == answer.prompt_tokens
    vocabulary = engine.decoder.vocabulary
    _, following = engine.decoder.prefill(engine.decoder.empty, embeds, lambda: None, vocabulary)
    assert answer.token_ids[0] == int(following.logits().argmax())


def test_an_item_of_six_regions_is_answered_where_the_usual_way_refuses_it(
    run_gar: RunGar, six_regions: Path, tmp_path: Path
) -> None:
    write_items(tmp_path, [6, 1, 7])
    words = ["bench", "gar-bench", "--data", tmp_path, "--model", six_regions, "--max-tokens", 4]
    assert "answered: 1 of 3 items" in run_gar(*words, "--out", tmp_path / "usual.json")[1]
    code, printed, _ = run_gar(*words, "--out", tmp_path / "released.json", "--as-released")
    assert code == 0
    assert "answered: 2 of 3 items" in printed
    assert "TOO_MANY_REGIONS, such as: 7 regions, the model has 6 prompts" in printed
    code, _, err = run_gar(*words, "--out", tmp_path / "released.json")
    assert code == 2
    assert "as_released was True, now None" in err


def test_by_likelihood_is_not_as_released(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    words = ["bench", "gar-bench", "--data", tmp_path, "--model", gar_tiny, "--out", tmp_path / "out.json"]
    with pytest.raises(SystemExit):
        run_gar(*words, "--as-released", "--by-likelihood")


def test_a_prompt_without_a_region_is_refused(six_regions: Path) -> None:
    prompts = ReleasedPrompts(ModelDir.open(six_regions))
    with pytest.raises(GarError, match=r"expected a region for <Prompt6>, got 6 region") as caught:
        prompts.question("Is <Prompt6> red?", 6)
    assert caught.value.code is ErrorCode.PROMPT_WITHOUT_REGION


def test_every_released_item_beyond_five_regions_can_be_asked(golden_export: ByName, shared: Path) -> None:
    prompts = ReleasedPrompts(ModelDir.open(golden_export("tiny_gar_1b")))
    items = read_items(shared / "gar_bench/released_predictions/gar_1b_vqa.json", "vqa")
    beyond = [item for item in items if len(item.masks) > 5]
    assert len(beyond) == 10
    assert all(
        len(item.masks) <= prompts.max_regions and prompts.question(item.text("vqa"), len(item.masks))
        for item in beyond
    )
