# SPDX-License-Identifier: Apache-2.0
"""Scores as the released evaluation counts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gar_ros.bench.score import Count, as_json, scored, table
from gar_ros.errors import GarError

RELEASED = {
    "gar_1b": {
        "color": (34, 69),
        "texture/pattern": (17, 29),
        "mirror": (36, 61),
        "ordering": (13, 64),
        "material": (14, 36),
        "shape": (32, 64),
        "relation": (57, 101),
    },
    "gar_8b": {
        "color": (40, 69),
        "texture/pattern": (22, 29),
        "mirror": (36, 61),
        "ordering": (28, 64),
        "material": (19, 36),
        "shape": (34, 64),
        "relation": (66, 101),
    },
}


def prediction(image: str, output: str, answer: str = "B", type: str = "shape", regions: int = 1) -> dict[str, Any]:
    return {
        "mask_rles": [{"size": [2, 2], "counts": "04"}] * regions,
        "question": "Which?",
        "choices": ["A. one", "B. two"],
        "answer": answer,
        "type": type,
        "image": image,
        "model_output": output,
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("model", "overall", "percent"), [("gar_1b", (203, 424), 47.9), ("gar_8b", (245, 424), 57.8)])
def test_released_predictions_give_the_released_table(
    shared: Path, model: str, overall: tuple[int, int], percent: float
) -> None:
    score = scored(shared / f"gar_bench/released_predictions/{model}_vqa.json")
    assert score.overall == Count(*overall)
    assert round(score.overall.percent, 1) == percent
    assert score.types == {name: Count(*counts) for name, counts in RELEASED[model].items()}
    assert (score.beyond_prompts.items, score.unanswered) == (10, 0)
    printed = table(score).splitlines()
    assert f"overall            {overall[0]}/424     {percent}" in printed
    for name, (right, items) in RELEASED[model].items():
        assert any(line.split()[:2] == [name, f"{right}/{items}"] for line in printed)


def test_upper_and_lower_case_are_equal_and_nothing_else_is(tmp_path: Path) -> None:
    outputs = ["B", "b", "B.", "A", "two", ""]
    score = scored(written(tmp_path / "p.json", [prediction(f"{n}.png", text) for n, text in enumerate(outputs)]))
    assert score.overall == Count(2, 6)
    assert score.unanswered == 1


def test_the_table_is_plain_and_aligned(tmp_path: Path) -> None:
    items = [
        prediction("0.png", "B"),
        prediction("1.png", "A"),
        prediction("2.png", "", type="color", regions=6),
        prediction("3.png", "B", type="texture/pattern", regions=7),
    ]
    score = scored(written(tmp_path / "p.json", items))
    assert table(score).splitlines() == [
        "type                 right  percent",
        "color                  0/1      0.0",
        "shape                  1/2     50.0",
        "texture/pattern        1/1    100.0",
        "overall                2/4     50.0",
        "",
        "more than 5 regions: 2 items, 1 of them right",
        "unanswered: 1 items (not right)",
    ]


def test_json_for_machines(tmp_path: Path) -> None:
    items = [prediction("0.png", "B"), prediction("1.png", "A"), prediction("2.png", "A", regions=3)]
    score = json.loads(as_json(scored(written(tmp_path / "p.json", items), prompts=2)))
    assert score == {
        "overall": {"right": 1, "items": 3, "percent": pytest.approx(100 / 3)},
        "types": {"shape": {"right": 1, "items": 3, "percent": pytest.approx(100 / 3)}},
        "prompts": 2,
        "beyond_prompts": {"right": 0, "items": 1, "percent": 0.0},
        "unanswered": 0,
        "missing": 0,
    }


def test_a_repeated_item_is_refused(tmp_path: Path) -> None:
    items = [prediction("0.png", "B"), prediction("1.png", "B"), prediction("0.png", "A")]
    with pytest.raises(GarError, match="item 2: repeats item 0"):
        scored(written(tmp_path / "p.json", items))


def test_the_same_picture_with_another_mask_is_another_item(tmp_path: Path) -> None:
    items = [prediction("0.png", "B"), prediction("0.png", "B", regions=2)]
    assert scored(written(tmp_path / "p.json", items)).overall == Count(2, 2)


def test_an_item_that_the_annotations_lack_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "data.json", [prediction("0.png", "")])
    with pytest.raises(GarError, match=r"item 1: unknown: '.*data.json' has no item"):
        scored(written(tmp_path / "p.json", [prediction("0.png", "B"), prediction("1.png", "B")]), data)


def test_an_answer_other_than_the_annotations_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "data.json", [prediction("0.png", "", answer="A")])
    with pytest.raises(GarError, match="key 'answer': expected 'A'"):
        scored(written(tmp_path / "p.json", [prediction("0.png", "B", answer="B")]), data)


def test_annotations_without_a_prediction_count_as_not_right(tmp_path: Path) -> None:
    data = written(tmp_path / "data.json", [prediction(f"{n}.png", "") for n in range(4)])
    score = scored(written(tmp_path / "p.json", [prediction("2.png", "B")]), data)
    assert (score.overall, score.missing) == (Count(1, 4), 3)
    assert "without a prediction: 3 items (not right)" in table(score)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[", "is not JSON"),
        ("{}", "expected a list of items, got {}"),
        ("[]", "expected a list of items, got []"),
        ("[7]", "item 0: expected an object, got 7"),
        ("null", "expected a list of items"),
        ("\udcff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_list_of_predictions_is_named(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(GarError) as caught:
        scored(path)
    assert str(path) in caught.value.message
    assert expected in caught.value.message


@pytest.mark.parametrize("key", ["mask_rles", "question", "choices", "answer", "type", "image", "model_output"])
@pytest.mark.parametrize("change", ["missing", "of another type"])
def test_a_malformed_item_is_named_with_its_key(tmp_path: Path, key: str, change: str) -> None:
    bad = prediction("1.png", "B")
    if change == "missing":
        del bad[key]
    else:
        bad[key] = 5
    with pytest.raises(GarError, match=f"p.json', item 1, key '{key}': (missing|expected .*, got 5)"):
        scored(written(tmp_path / "p.json", [prediction("0.png", "B"), bad]))


def test_scoring_needs_neither_pycocotools_nor_torch(tmp_path: Path) -> None:
    file = written(tmp_path / "p.json", [prediction("0.png", "B")])
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pycocotools', 'torch', 'rclpy', 'mujoco']))\n"
        "from gar_ros.cli.main import main\n"
        f"sys.exit(main(['bench', 'score', {str(file)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1/1" in done.stdout
