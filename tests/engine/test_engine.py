# SPDX-License-Identifier: Apache-2.0
"""Encode once, ask many: what a caller may rely on, whatever the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gar_ros.engine.cost import kv_bytes_per_token
from gar_ros.engine.encoded_frame import Answer, EncodedFrame, SharedPrefix
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.following import Following
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.runtime.protocol import Rows, on_host
from gar_ros.engine.steps import run_to_end
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from tests.engine.scene import COLOUR, HEIGHT, SIDE, WIDTH, refused, without_times
from tests.engine.softmax import log_softmax


def test_the_same_question_twice_has_the_same_answer(frame: EncodedFrame) -> None:
    first, again = frame.ask(COLOUR, max_tokens=5), frame.ask(COLOUR, max_tokens=5)
    assert without_times(first) == without_times(again)
    assert len(first.token_ids) == first.generated_tokens == 5


def test_the_order_of_questions_does_not_matter(engine: GarEngine, image: np.ndarray, regions: list[Region]) -> None:
    def answers(questions: list[str]) -> dict[str, Answer]:
        fresh = engine.encode(image, regions, max_tiles=1)
        return {text: without_times(fresh.ask(text, max_tokens=4)) for text in questions}

    assert answers([COLOUR, SIDE]) == answers([SIDE, COLOUR])


def logits_in_one_piece(frame: EncodedFrame, engine: GarEngine, asked: list[int], answer: list[int]) -> np.ndarray:
    """Next-token logits of image, regions, question and the answer's tokens, read from an empty cache."""
    prefix = engine.prompts.prefix("question", len(frame._features), len(frame.regions))
    embeds = np.concatenate([on_host(frame._embed("question", prefix)), engine.decoder.embed(asked + answer)])
    return engine.decoder.prefill_logits(engine.decoder.empty, embeds, lambda: None)[1]


def test_a_shared_prefix_equals_reading_everything(frame: EncodedFrame, engine: GarEngine) -> None:
    asked = engine.prompts.question(COLOUR, 2)
    frame.ask(SIDE, max_tokens=1)
    answer = frame.ask(COLOUR, max_tokens=3)
    ids: list[int] = []
    for token in answer.token_ids:
        assert int(logits_in_one_piece(frame, engine, asked, ids).argmax()) == token
        ids.append(token)


@pytest.mark.parametrize(
    "choices",
    [
        ("maybe", "perhaps"),  # several tokens each, none begins another
        ("A", "B", "C"),  # one token each
        ("red", "red box"),  # one begins the other: scored with their ends
        ("<Prompt0>", "<Prompt1>"),
    ],
)
def test_probabilities_equal_brute_force(frame: EncodedFrame, engine: GarEngine, choices: tuple[str, ...]) -> None:
    asked = engine.prompts.question(SIDE, 2)
    ids = [engine.prompts.choice(text) for text in choices]
    end = list(engine.manifest.tokens.eos)
    nested = any(one != other and other[: len(one)] == one for one in ids for other in ids)
    assert nested == (choices == ("red", "red box"))
    likelihoods = []
    for tokens in ids:
        steps = [log_softmax(logits_in_one_piece(frame, engine, asked, tokens[:n])) for n in range(len(tokens) + 1)]
        likelihood = np.prod([np.exp(steps[n][token]) for n, token in enumerate(tokens)])
        likelihoods.append(likelihood * (np.exp(steps[-1][end]).sum() if nested else 1))

    answer = frame.ask(SIDE, choices)

    np.testing.assert_allclose(answer.probabilities, np.array(likelihoods) / sum(likelihoods), rtol=1e-3)
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.choice == int(np.argmax(likelihoods))
    assert (answer.text, answer.confidence) == (choices[answer.choice], answer.probabilities[answer.choice])
    assert (answer.generated_tokens, answer.complete) == (0, True)


def test_the_order_of_choices_does_not_matter(frame: EncodedFrame) -> None:
    first, second = frame.ask(SIDE, ["yes", "no"]), frame.ask(SIDE, ["no", "yes"])
    assert first.text == second.text
    assert first.probabilities == second.probabilities[::-1]


def test_free_text_confidence_is_the_geometric_mean(frame: EncodedFrame, engine: GarEngine) -> None:
    answer = frame.ask(COLOUR, max_tokens=2)
    asked = engine.prompts.question(COLOUR, 2)
    log_p = [
        log_softmax(logits_in_one_piece(frame, engine, asked, list(answer.token_ids[:n])))[token]
        for n, token in enumerate(answer.token_ids)
    ]
    assert answer.confidence == pytest.approx(np.exp(np.mean(log_p)), rel=1e-3)


def test_every_stage_has_its_time_and_the_prefix_is_read_once(
    engine: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    fresh = engine.encode(image, regions, max_tiles=1)
    first, second = fresh.ask(COLOUR, max_tokens=1), fresh.ask(SIDE, max_tokens=1)
    stages = ["tile", "vision", "replay", "prefill", "question", "decode"]
    assert list(first.seconds) == list(second.seconds) == stages
    assert second.seconds["prefill"] < first.seconds["prefill"] / 10


def test_another_region_encodes_only_the_touched_tiles_again(engine: GarEngine, image: np.ndarray) -> None:
    """2 x 2 tiles and a thumbnail: a region in the upper left touches one tile and the thumbnail."""
    upper_left = Region.from_box("a", (2, 2, 10, 10), (WIDTH, HEIGHT))
    lower_right = Region.from_box("b", (50, 40, 60, 46), (WIDTH, HEIGHT))
    engine.encode(image, [upper_left], max_tiles=4)
    before = engine.encoder.encoded_tiles
    cached = engine.encode(image, [lower_right], max_tiles=4)
    assert engine.encoder.encoded_tiles - before == 3  # thumbnail, lower right, and upper left without its mask
    engine.encoder._cache.clear()
    again = engine.encode(image, [lower_right], max_tiles=4)
    np.testing.assert_array_equal(on_host(cached._features), on_host(again._features))


def test_only_the_union_of_masks_reaches_the_tiles(engine: GarEngine, image: np.ndarray, regions: list[Region]) -> None:
    union = Region.from_mask("both", regions[0].mask | regions[1].mask)
    apart, together = engine.encode(image, regions, max_tiles=1), engine.encode(image, [union], max_tiles=1)
    np.testing.assert_array_equal(on_host(apart._features), on_host(together._features))
    assert not np.array_equal(on_host(apart._replay)[0], on_host(together._replay)[0])


def test_describe_uses_the_caption_form(engine: GarEngine, image: np.ndarray, regions: list[Region]) -> None:
    single = engine.encode(image, regions[:1], max_tiles=1)
    described = single.describe(max_tokens=3)
    asked = single.ask("Describe this masked region in detail.", max_tokens=3)
    assert described.prompt_tokens != asked.prompt_tokens
    assert without_times(described) == without_times(single.describe(max_tokens=3))


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (1, 200)])
def test_extreme_images_and_regions_of_one_pixel(engine: GarEngine, size: tuple[int, int]) -> None:
    width, height = size
    region = Region.from_box("pixel", (width - 1, height - 1, width, height), size)
    frame = engine.encode(np.full((height, width, 3), 200, np.uint8), [region], max_tiles=2)
    answer = frame.ask(COLOUR, ["red", "blue"])
    assert np.isfinite(answer.probabilities).all()


def test_a_videos_frames_may_differ_in_size_and_are_one_prompt(
    engine: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    small = Region.from_box("small", (0, 0, 1, 1), (7, 5))
    video = engine.encode_video([(image, regions[0]), (image[:5, :7], small)])
    answer = video.ask("Does <Prompt0> move?", ["yes", "no"])
    assert np.isfinite(answer.probabilities).all()
    with refused(ErrorCode.PROMPT_WITHOUT_REGION, "<Prompt1>", "got 1 region"):
        video.ask(SIDE)


def test_regions_of_an_encoded_image_are_asked_without_another_vision_pass(
    engine: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    encoded = engine.encode_image(image, regions, max_tiles=1)
    tiles = engine.encoder.encoded_tiles
    replays = [encoded.replay[index : index + 1] for index in range(len(regions))]
    recalled = engine.from_features(encoded.features, regions, replays).ask(SIDE, ["yes", "no"])
    turned = engine.from_features(encoded.features, regions[::-1], replays[::-1]).ask(SIDE, ["yes", "no"])
    assert engine.encoder.encoded_tiles == tiles
    direct = engine.encode(image, regions, max_tiles=1).ask(SIDE, ["yes", "no"])
    assert recalled.probabilities == direct.probabilities != turned.probabilities
    assert (
        turned.probabilities == engine.encode(image, regions[::-1], max_tiles=1).ask(SIDE, ["yes", "no"]).probabilities
    )


@pytest.fixture
def lengths(engine: GarEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of tokens of each prefill, as they happen."""
    found: list[int] = []
    prefill = engine.decoder.prefill

    def counted(past: KvCache, embeds: Rows, *others: Any) -> tuple[KvCache, Following]:
        found.append(len(embeds))
        return prefill(past, embeds, *others)

    monkeypatch.setattr(engine.decoder, "prefill", counted)
    return found


def test_frames_of_an_encoded_image_read_its_tokens_once(
    engine: GarEngine, image: np.ndarray, regions: list[Region], lengths: list[int]
) -> None:
    """Descriptions, and questions about other regions, differ in rounding from those of a frame of their own."""
    encoded = engine.encode_image(image, regions, max_tiles=1)

    def described(one: int, shared: SharedPrefix | None) -> Answer:
        frame = engine.from_features(encoded.features, regions[one : one + 1], [encoded.replay[one : one + 1]], shared)
        return frame.describe(max_tokens=12)

    alone = [described(one, None) for one in (0, 1)]
    tokens = engine.manifest.sizes.tile_tokens
    whole, request, *_ = lengths
    assert whole > 2 * tokens
    lengths.clear()
    together = [described(one, encoded.shared) for one in (0, 1)]
    image_end, first, _, second, _ = lengths
    assert (image_end + first, second, request) == (whole, first, lengths[-1])
    assert second < whole - tokens
    assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]
    np.testing.assert_allclose([one.confidence for one in together], [one.confidence for one in alone], rtol=1e-4)
    static = engine.manifest.kv_cache == "static"
    positions = engine.manifest.sizes.max_positions if static else image_end
    assert encoded.shared.nbytes == positions * kv_bytes_per_token(engine.manifest)


def test_a_description_and_a_question_about_a_frame_read_its_image_once(
    engine: GarEngine, image: np.ndarray, regions: list[Region], lengths: list[int]
) -> None:
    choices = ["red", "green", "blue"]
    frame = engine.encode(image, regions[:1], max_tiles=1)
    description = frame.describe(max_tokens=4)
    answer = frame.ask(COLOUR, choices)
    whole, _, rest, _ = lengths
    assert rest < whole - engine.manifest.sizes.tile_tokens
    alone = engine.encode(image, regions[:1], max_tiles=1).ask(COLOUR, choices)
    np.testing.assert_allclose(answer.probabilities, alone.probabilities, rtol=1e-4)
    assert frame.describe(max_tokens=4).token_ids == description.token_ids


def test_more_regions_than_prompts_are_encoded_but_not_asked_about_at_once(
    engine: GarEngine, image: np.ndarray
) -> None:
    height, width = image.shape[:2]
    many = [Region.from_box(str(n), (n, 0, n + 9, 9), (width, height)) for n in range(7)]
    encoded = engine.encode_image(image, many, max_tiles=1)
    assert len(encoded.replay) == 7
    with pytest.raises(GarError, match="at most 5 regions"):
        engine.from_features(encoded.features, many[:6], [encoded.replay[n : n + 1] for n in range(6)])


def test_a_conversation_reads_only_what_is_new_and_answers_as_if_read_at_once(
    frame: EncodedFrame, engine: GarEngine
) -> None:
    prompts = engine.prompts
    begun = run_to_end(frame.stream(prompts.parse(COLOUR, (), 2), max_tokens=3))
    went_on = run_to_end(frame.stream(prompts.parse_turn(SIDE, ["A", "B"], 2), after=begun))
    ended = run_to_end(frame.stream(prompts.parse_turn("Why?", (), 2), max_tokens=2, after=went_on))
    first, second, third = begun.answer, went_on.answer, ended.answer
    asked = prompts.question(COLOUR, 2) + list(first.token_ids) + prompts.next_turn(SIDE, 2)
    assert second.prompt_tokens == len(asked) - len(prompts.question(COLOUR, 2))
    scores = [log_softmax(logits_in_one_piece(frame, engine, asked, []))[prompts.choice(c)[0]] for c in "AB"]
    weights = np.exp(np.array(scores) - max(scores))
    np.testing.assert_allclose(second.probabilities, weights / weights.sum(), rtol=1e-3)
    asked += list(second.token_ids) + prompts.next_turn("Why?", 2)
    assert third.token_ids[0] == int(logits_in_one_piece(frame, engine, asked, []).argmax())


def test_a_conversation_ends_where_the_models_context_does(frame: EncodedFrame, engine: GarEngine) -> None:
    begun = run_to_end(frame.stream(engine.prompts.parse(COLOUR, (), 2), max_tokens=1))
    endless = engine.prompts.parse_turn("word " * 20000, (), 2)
    with pytest.raises(GarError, match="expected a question of at most") as caught:
        run_to_end(frame.stream(endless, max_tokens=1, after=begun))
    assert caught.value.code is ErrorCode.QUESTION_TOO_LONG
