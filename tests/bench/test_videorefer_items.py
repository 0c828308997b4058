# SPDX-License-Identifier: Apache-2.0
"""VideoRefer-BenchQ's published format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gar_ros.bench.files import Place
from gar_ros.bench.video_frames import check_video
from gar_ros.bench.videorefer_items import Item, letter_of, read_item
from gar_ros.errors import GarError
from tests.bench.conftest import compressed, squares

PLACE = Place(Path("data.json"), "item 0")
MASK = {"segmentation": compressed(squares(1)[0])}
EMPTY = {"segmentation": compressed(squares(1)[0] * 0)}


def source(question: str, objects: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": 0,
        "video": "DAVIS/JPEGImages/480p/bear",
        "Question": question,
        "type": "Basic Questions",
        "options": ["(A) red", "(B) blue"],
        "Answer": "(B) blue",
        "frame_idx": "2",
        "annotation": [{"0": MASK, "2": MASK, "5": {"segmentation": None}}] * objects,
        **more,
    }


def item(question: str, objects: int = 1, **more: Any) -> Item:
    return read_item(source(question, objects, **more), PLACE)


def test_the_question_is_asked_in_the_benchmarks_words_with_prompts_for_its_objects() -> None:
    read = item("What colour is <object3><region>?")
    assert read.text == (
        "What colour is <Prompt0>? (A) red (B) blue. Answer with the option's letter from the given choices directly."
    )
    assert (read.letters, read.answer, read.type, read.frame) == (("A", "B"), "B", "Basic Questions", 2)


def test_masks_are_by_frame_without_those_that_show_nothing() -> None:
    (masks,) = item("What is <object0><region>?").objects
    assert sorted(masks) == [0, 2]
    assert masks[2].place.key == "annotation[0].2.segmentation"


def test_objects_are_numbered_as_the_text_names_them_and_keep_their_numbers() -> None:
    read = item(
        "Does <object4><region> follow <object1><region>, or <object1> follow <object4>?",
        2,
        options=["(A) <object1> does", "(B) <object4> does"],
        Answer="(A) <object1> does",
    )
    assert read.text.startswith(
        "Does <Prompt0> follow <Prompt1>, or <Prompt1> follow <Prompt0>? (A) <Prompt1> does (B) <Prompt0> does. "
    )
    assert len(read.objects) == 2


def test_a_region_without_a_name_is_an_object_too() -> None:
    assert item("Is <region> larger than <region>?", 2).text.startswith("Is <Prompt0> larger than <Prompt1>? ")


def test_an_object_with_two_regions_has_the_first_ones_masks() -> None:
    other = {"7": MASK}
    read = item(
        "Is <object2><region> where <object2><region> was beside <object9><region>?",
        annotation=[{"0": MASK}, other, {"1": MASK}],
    )
    assert read.text.startswith("Is <Prompt0> where <Prompt0> was beside <Prompt1>? ")
    assert [sorted(masks) for masks in read.objects] == [[0], [1]]


def test_an_empty_mask_is_known_without_decoding() -> None:
    uncompressed = {"segmentation": {"size": [48, 64], "counts": [48 * 64]}}
    polygon = {"segmentation": [[1, 10, 6, 10, 6, 16]]}
    (masks,) = item(
        "<region>?", annotation=[{"0": EMPTY, "1": uncompressed, "2": MASK, "3": polygon, "4": {"segmentation": 5}}]
    ).objects
    assert [masks[number].is_empty for number in range(5)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"video": " "}, "key 'video': expected a text that is not blank"),
        ({"Question": None}, "key 'Question': expected a text that is not blank, got null"),
        ({"type": 3}, "key 'type': expected a text that is not blank, got 3"),
        ({"options": ["(A) red"]}, "key 'options': expected a list of two or more options"),
        (
            {"options": ["red", "(B) blue"]},
            "key 'options': expected options with letters of their own, such as '(A) red'",
        ),
        ({"options": ["(B) red", "(B) blue"]}, "key 'options': expected options with letters of their own"),
        (
            {"Answer": "(E) green"},
            "key 'Answer': expected an answer with one of the options' letters A, B, got \"(E) g",
        ),
        ({"Answer": "blue"}, "key 'Answer': expected an answer with one of the options' letters A, B, got \"blue\""),
        ({"frame_idx": "x"}, "key 'frame_idx': expected the number of a frame, got 'x'"),
        ({"frame_idx": -1}, "key 'frame_idx': expected the number of a frame, got '-1'"),
        ({"annotation": []}, "key 'annotation': expected a list of at least one object's masks"),
        ({"annotation": [{"x": MASK}]}, "key 'annotation[0].x': expected the number of a frame, got 'x'"),
        ({"annotation": [{"0": {}}]}, "key 'annotation[0].0.segmentation': missing"),
        ({"annotation": [{}, {}]}, "expected masks for each <region> of question and options, which have 1, got 2"),
        ({"Question": "What is <object1>?"}, "expected masks for each <region> of question and options, which have 0"),
        (
            {"Question": "Is <object1><region> on <object2>?"},
            "expected a <region> after <object2> somewhere, found none",
        ),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(GarError) as caught:
        read_item({**source("What is <object1><region>?"), **change}, PLACE)
    assert caught.value.message.startswith("'data.json', item 0")
    assert expected in caught.value.message


def test_what_is_no_object_is_told() -> None:
    with pytest.raises(GarError, match=r"'data\.json', item 0: expected an object, got 7"):
        read_item(7, PLACE)


def test_an_answer_may_be_the_letter_alone_and_a_frame_a_number() -> None:
    read = item("<region>?", Answer="A", frame_idx=5)
    assert (read.answer, read.frame) == ("A", 5)


@pytest.mark.parametrize(
    ("output", "letter"),
    [
        ("(B) blue", "B"),
        ("It is (B).", "B"),
        ("B) blue", "B"),
        ("B", "B"),
        (".b", "b"),
        ("blue", "b"),
        ("", ""),
        (".", ""),
    ],
)
def test_the_letter_of_an_answer_is_found_as_videorefers_scorer_does(output: str, letter: str) -> None:
    assert letter_of(output) == letter


_SMALL = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["<region>", "(A) x", "3"])
_JSON = st.recursive(_SMALL, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside))
_KEYS = sorted(source(""))


@given(st.sampled_from(_KEYS), _JSON)
def test_any_value_of_any_key_is_read_or_refused(key: str, value: Any) -> None:
    try:
        read = read_item({**source("What is <object1><region>?"), key: value}, PLACE)
    except GarError:
        return
    assert read.answer in read.letters
    assert all(mask.is_empty in (True, False) for masks in read.objects for mask in masks.values())


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_a_missing_video(tmp_path: Path, name: str) -> None:
    with pytest.raises(GarError, match="found nothing at"):
        check_video(tmp_path / name, PLACE)
