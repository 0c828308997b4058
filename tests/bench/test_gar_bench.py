# SPDX-License-Identifier: Apache-2.0
"""GAR-Bench through the shipped gar-tiny, interrupted and continued; its answers mean nothing on photographs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import RunGar, compressed, squares, write_items
from tests.processes import StartProcess

PYTHON = (sys.executable, "-m", "gar_ros.cli.main")
PATIENCE = 60.0  # seconds


def command(model: Path, data: Path, out: Path, *more: object) -> list[str]:
    files = ["--data", data, "--model", model, "--out", out]
    return [str(word) for word in ("bench", "gar-bench", *files, "--max-tiles", 1, "--threads", 1, *more)]


def journal_lines(out: Path) -> list[dict[str, Any]]:
    lines = out.with_name(out.name + ".jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def journal_keys(out: Path) -> list[str]:
    return [line["key"] for line in journal_lines(out)]


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_predictions_are_the_items_with_the_models_output(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    data, out = write_items(tmp_path, [1, 2, 5]), tmp_path / "out.json"
    code, printed, err = run_gar(*command(gar_tiny, tmp_path, out))
    assert code == 0
    predictions = load(out)
    assert [prediction.pop("model_output") != "" for prediction in predictions] == [True] * 3
    assert predictions == load(data)
    assert printed.startswith("answered: 3 of 3 items\n")
    assert "overall" in printed
    assert err.startswith("3 of 3 items, ")


def test_more_regions_than_prompts_are_counted_and_not_right(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    write_items(tmp_path, [6, 1, 7])
    out = tmp_path / "out.json"
    code, printed, _ = run_gar(*command(gar_tiny, tmp_path, out))
    assert code == 0
    assert "unanswered: 2, TOO_MANY_REGIONS, such as: 6 regions, the model has 5 prompts" in printed
    assert "more than 5 regions: 2 items, 0 of them right" in printed
    assert [prediction["model_output"] == "" for prediction in load(out)] == [True, False, True]
    assert load(out)[2]["unanswered"] == "TOO_MANY_REGIONS: 7 regions, the model has 5 prompts"
    assert "unanswered" not in load(out)[1]


def test_a_question_beyond_the_context_is_counted(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    data = write_items(tmp_path, [1])
    items = load(data)
    items[0]["question"] = "Is <Prompt0> red or is it blue? " * 400
    data.write_text(json.dumps(items))
    code, printed, _ = run_gar(*command(gar_tiny, data, tmp_path / "out.json"))
    assert code == 0
    assert "unanswered: 1, QUESTION_TOO_LONG, such as: expected a question of at most" in printed


def test_by_likelihood_it_is_always_a_letter(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    write_items(tmp_path, [1, 2])
    out = tmp_path / "out.json"
    assert run_gar(*command(gar_tiny, tmp_path, out, "--by-likelihood"))[0] == 0
    assert {prediction["model_output"] for prediction in load(out)} <= {"A", "B", "C"}
    assert [line["generated_tokens"] for line in journal_lines(out)] == [0, 0]


@pytest.mark.parametrize("task", ["caption-simple", "caption-detailed"])
def test_captions(run_gar: RunGar, gar_tiny: Path, tmp_path: Path, task: str) -> None:
    data, out = write_items(tmp_path, [2]), tmp_path / "out.json"
    code, printed, _ = run_gar(*command(gar_tiny, data, out, "--task", task, "--max-tokens", 8))
    assert code == 0
    assert load(out)[0]["model_output"]
    assert "overall" not in printed


def test_photographs_with_their_masks(run_gar: RunGar, gar_tiny: Path, shared: Path, tmp_path: Path) -> None:
    folder = shared / "gar_bench"
    items = load(folder / "vqa_subset.json")
    few = [next(item for item in items if len(item["mask_rles"]) == count) for count in (1, 2, 3, 4, 5, 6)]
    data, out = tmp_path / "few.json", tmp_path / "out.json"
    data.write_text(json.dumps([{**item, "image": str(folder / item["image"])} for item in few]))
    code, printed, _ = run_gar(*command(gar_tiny, data, out))
    assert code == 0
    assert "answered: 5 of 6 items" in printed
    assert [prediction["index"] for prediction in load(out)] == [item["index"] for item in few]
    code, table, _ = run_gar("bench", "score", out, "--data", data)
    assert code == 0
    assert table.strip() == printed.partition("\n\n")[2].strip()


def test_a_killed_run_continues_and_answers_every_item_once(
    run_gar: RunGar, gar_tiny: Path, tmp_path: Path, start_process: StartProcess
) -> None:
    write_items(tmp_path, [1] * 20)
    out, journal = tmp_path / "out.json", tmp_path / "out.json.jsonl"
    child = start_process(*PYTHON, *command(gar_tiny, tmp_path, out))
    child.wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 4, PATIENCE, "three answers")
    child.kill()
    before = journal.read_text()
    with journal.open("a") as file:
        file.write('{"key": "19", "outp')  # where a kill may leave it
    answered = len(before.splitlines()) - 1
    assert 3 <= answered < 20
    assert not out.exists()

    code, printed, err = run_gar(*command(gar_tiny, tmp_path, out))
    assert code == 0
    assert f"continuing: {answered} of 20 items are answered" in err
    assert printed.startswith("answered: 20 of 20 items\n")
    assert journal.read_text().startswith(before)
    assert journal_keys(out) == [str(number) for number in range(20)]
    assert [prediction["image"] for prediction in load(out)] == [f"images/vqa_{number}.png" for number in range(20)]


def test_ctrl_c_says_how_to_continue_and_changes_no_prediction(
    run_gar: RunGar, gar_tiny: Path, tmp_path: Path, start_process: StartProcess
) -> None:
    write_items(tmp_path, [1] * 20)
    out, journal = tmp_path / "out.json", tmp_path / "out.json.jsonl"
    child = start_process(*PYTHON, *command(gar_tiny, tmp_path, out))
    child.wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3, PATIENCE, "two answers")
    assert child.interrupt(PATIENCE) == 130
    answered = len(journal_keys(out))
    assert f"interrupted: {answered} of 20 items are answered in '{journal}'; the same command continues" in child.log
    assert "Traceback" not in child.log
    assert run_gar(*command(gar_tiny, tmp_path, out))[0] == 0
    assert journal_keys(out) == [str(number) for number in range(20)]
    whole = tmp_path / "whole.json"
    assert run_gar(*command(gar_tiny, tmp_path, whole))[0] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_finished_run_is_not_done_again(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    write_items(tmp_path, [1, 1])
    out = tmp_path / "out.json"
    first = run_gar(*command(gar_tiny, tmp_path, out))
    stamps = [path.stat().st_mtime_ns for path in (out, tmp_path / "out.json.jsonl")]
    again = run_gar(*command(gar_tiny, tmp_path, out))
    assert again == (0, first[1], "all 2 items were answered before\n")
    assert [path.stat().st_mtime_ns for path in (out, tmp_path / "out.json.jsonl")] == stamps


def test_a_larger_limit_adds_and_a_smaller_one_loses_nothing(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    write_items(tmp_path, [1, 1, 1, 1])
    out = tmp_path / "out.json"
    for limit, kept in ((1, 1), (3, 3), (2, 3)):
        assert run_gar(*command(gar_tiny, tmp_path, out, "--limit", limit))[0] == 0
        assert len(load(out)) == kept
    assert journal_keys(out) == ["0", "1", "2"]


def test_a_run_with_other_settings_does_not_mix_in(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    data, out = write_items(tmp_path, [1, 1]), tmp_path / "out.json"
    assert run_gar(*command(gar_tiny, data, out, "--limit", 1))[0] == 0
    code, _, err = run_gar(*command(gar_tiny, data, out, "--by-likelihood"))
    assert code == 2
    assert "by_likelihood was False, now True" in err
    data.write_text(data.read_text() + "\n")
    assert "data_sha256 was" in run_gar(*command(gar_tiny, data, out))[2]


def test_somebody_elses_file_is_not_overwritten(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    data = write_items(tmp_path, [1])
    before = data.read_bytes()
    code, _, err = run_gar(*command(gar_tiny, data, data))
    assert code == 2
    assert "exists, but not" in err
    assert data.read_bytes() == before


def spoil(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes the second item of an annotation file."""

    def apply(data: Path) -> None:
        items = load(data)
        change(items[1])
        data.write_text(json.dumps(items))

    return apply


def cut_picture(data: Path) -> None:
    picture = data.parent / "images/vqa_1.png"
    picture.write_bytes(picture.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [
        (lambda data: data.write_text("[1, 2"), "is not JSON"),
        (lambda data: (data.parent / "images/vqa_1.png").unlink(), "key 'image': can't be read as a picture"),
        (lambda data: (data.parent / "images/vqa_1.png").write_text("x"), "key 'image': can't be read as a picture"),
        (spoil(lambda item: item.pop("answer")), "key 'answer': missing"),
        (spoil(lambda item: item.update(choices="A")), "key 'choices': expected a list"),
        (spoil(lambda item: item.update(choices=[1])), "key 'choices[0]': expected a text, got 1"),
        (spoil(lambda item: item.update(question=" ")), "key 'question': expected a text that is not blank"),
        (spoil(lambda item: item.update(mask_rles=[])), "key 'mask_rles': expected a list of at least one mask"),
        (spoil(lambda item: item["mask_rles"][0].update(size=[9, 9])), "key 'mask_rles[0]': expected 'size' [48, 64]"),
        (spoil(lambda item: item["mask_rles"][0].update(counts="d3")), "key 'mask_rles[0]': expected 'counts' of 3072"),
        (spoil(lambda item: item["mask_rles"].append(None)), "key 'mask_rles[1]': expected an RLE"),
        (
            spoil(lambda item: item.update(image="images/vqa_0.png")),
            "item 1: repeats item 0: same image, masks, question and choices",
        ),
    ],
)
def test_bad_data_are_named_before_anything_is_done(
    run_gar: RunGar, gar_tiny: Path, tmp_path: Path, spoiled: Callable[[Path], object], expected: str
) -> None:
    data = write_items(tmp_path, [1, 1])
    spoiled(data)
    code, printed, err = run_gar(*command(gar_tiny, data, tmp_path / "out.json"))
    assert (code, printed) == (2, "")
    assert err.startswith(f"gar: '{data}'")
    assert expected in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("out.json*"))


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [
        (cut_picture, "key 'image': can't be read as a picture"),
        (
            spoil(lambda item: item["mask_rles"].append(compressed(squares(1)[0] * 0))),
            "key 'mask_rles[1]': region 'Prompt1': expected a mask with a pixel inside, got none in 64x48 px",
        ),
        (spoil(lambda item: item.update(question="Is <Prompt1> red?")), "item 1: expected a region for <Prompt1>"),
    ],
)
def test_bad_data_that_only_show_when_used_stop_the_run_and_keep_what_was_answered(
    run_gar: RunGar, gar_tiny: Path, tmp_path: Path, spoiled: Callable[[Path], object], expected: str
) -> None:
    data, out = write_items(tmp_path, [1, 1]), tmp_path / "out.json"
    spoiled(data)
    code, printed, err = run_gar(*command(gar_tiny, data, out))
    assert (code, printed) == (2, "")
    assert f"'{data}', item 1" in err
    assert expected in err
    assert journal_keys(out) == ["0"]
    assert not out.exists()


def test_too_many_tiles_are_refused_before_anything_is_done(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    write_items(tmp_path, [1])
    code, _, err = run_gar(*command(gar_tiny, tmp_path, tmp_path / "out.json", "--max-tiles", 99))
    assert code == 2
    assert "expected --max-tiles of at most 1, the model's, got 99" in err
