# SPDX-License-Identifier: Apache-2.0
"""GAR-Bench's format and the texts that its released evaluation asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gar_ros.bench.files import Place
from gar_ros.bench.gar_items import Item, annotation_file, read_items
from gar_ros.errors import GarError
from tests.bench.conftest import write_items


def item(question: str, *choices: str) -> Item:
    return Item(Place(Path("data.json"), "item 0"), {}, "a.png", (), question, choices, "A", "shape")


def test_a_question_with_options() -> None:
    assert item("Which is red?", "A. <Prompt0>", "B. <Prompt1>").text("vqa") == (
        "Question: Which is red?\nOptions:\nA. <Prompt0>\nB. <Prompt1>\n"
        "Answer with the correct option's letter directly."
    )


def test_the_question_is_the_one_of_the_golden_case(shared: Path) -> None:
    golden = json.loads((shared / "golden/cases/three_prompts/case.json").read_text())["question"]
    asked = item(
        "Which of <Prompt0>, <Prompt1> and <Prompt2> is the largest?", "A. <Prompt0>", "B. <Prompt1>", "C. <Prompt2>"
    )
    assert asked.text("vqa") == golden


def test_captions() -> None:
    assert item("What is <Prompt0> doing?").text("caption-simple") == "What is <Prompt0> doing?"
    assert (
        item("").text("caption-detailed") == "Describe <Prompt0> in detail, including the relationship with <Prompt1>."
    )


def test_letters() -> None:
    assert item("", "A. red", "B) blue", "C: green").letters() == ["A", "B", "C"]


@pytest.mark.parametrize("choices", [("red", "B. blue"), ("A. red", "A. blue"), ("A. red",), ()])
def test_choices_without_letters_are_refused(choices: tuple[str, ...]) -> None:
    with pytest.raises(GarError, match="item 0, key 'choices': expected two or more choices with letters"):
        item("", *choices).letters()


def test_every_released_item_has_letters_and_is_told_from_the_others(shared: Path) -> None:
    items = read_items(shared / "gar_bench/released_predictions/gar_1b_vqa.json", "vqa")
    assert len({item.identity for item in items}) == 424
    assert all(item.answer in item.letters() for item in items)


def test_a_folder_has_the_released_file_or_a_single_one(tmp_path: Path) -> None:
    with pytest.raises(GarError, match=r"expected GAR-Bench-VQA\.json or a single JSON file in it, found none"):
        annotation_file(tmp_path, "vqa")
    (tmp_path / "mine.json").touch()
    assert annotation_file(tmp_path, "vqa") == tmp_path / "mine.json"
    released = write_items(tmp_path, [1])
    assert annotation_file(tmp_path, "vqa") == released
    with pytest.raises(GarError, match=r"found GAR-Bench-VQA.json, mine.json"):
        annotation_file(tmp_path, "caption-simple")
    assert annotation_file(released, "vqa") == released


@pytest.mark.parametrize(
    ("task", "keys"),
    [("caption-simple", {"image", "mask_rles", "question"}), ("caption-detailed", {"image", "mask_rles"})],
)
def test_captions_need_no_answers(tmp_path: Path, task: str, keys: set[str]) -> None:
    path = write_items(tmp_path, [1])
    (data,) = json.loads(path.read_text())
    path.write_text(json.dumps([{key: data[key] for key in keys}]))
    (read,) = read_items(path, task)
    assert read.image == "images/vqa_0.png"
