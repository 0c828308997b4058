# SPDX-License-Identifier: Apache-2.0
"""VideoRefer-BenchQ through the shipped gar-tiny, on real videos; its answers mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gar_ros.bench.files import Place
from gar_ros.bench.masks import decode
from gar_ros.bench.video_frames import load_frames
from gar_ros.bench.videorefer import spread
from gar_ros.bench.videorefer_items import read_item
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.engine import GarEngine
from gar_ros.region import Region
from tests.bench.conftest import HEIGHT, WIDTH, RunGar, compressed, squares, write_video

FRAMES = 8
CLIP, FOLDER = "clips/two.mp4", "DAVIS/JPEGImages/480p/one"
MASKS = [compressed(mask) for mask in squares(6)]
QUESTION = "What colour is <object1><region>?"


def noise(seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8))


def item(question: str = QUESTION, video: str = CLIP, objects: int = 1, **more: Any) -> dict[str, Any]:
    """An object of which frames 0, 2, 4, 6 have masks, and frame 5 says that it isn't seen."""
    masks = [
        {str(frame): {"segmentation": MASKS[number]} for frame in range(0, FRAMES, 2)} for number in range(objects)
    ]
    return {
        "id": 0,
        "video": video,
        "Question": question,
        "type": "Basic Questions",
        "options": ["(A) red", "(B) blue", "(C) green"],
        "Answer": "(B) blue",
        "frame_idx": "4",
        "annotation": [{**mask, "5": {"segmentation": None}} for mask in masks],
        **more,
    }


PAIR = item("Is <object0><region> on <object1><region>?", FOLDER, 2, type="Relationship Questions")
SIX = item(" ".join(f"<object{number}><region>" for number in range(6)), FOLDER, 6, type="Relationship Questions")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    write_video(tmp_path / CLIP, noise(1))
    (tmp_path / FOLDER).mkdir(parents=True)
    for number, frame in enumerate(noise(2)):
        Image.fromarray(frame).save(tmp_path / FOLDER / f"{number:05}.jpg")
    return tmp_path


def write_items(folder: Path, *items: Any) -> Path:
    path = folder / "VideoRefer-Bench-Q.json"
    path.write_text(json.dumps(items))
    return path


def command(model: Path, data: Path, *more: object) -> list[object]:
    out = data.parent / "out.jsonl"
    return ["bench", "videorefer", "--data", data, "--model", model, "--out", out, "--max-tokens", 4, *more]


def predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def journal_record(folder: Path) -> tuple[str, float, int]:
    """Of the first item; the confidence tells which frames were seen where the text doesn't."""
    record = json.loads((folder / "out.jsonl.jsonl").read_text().splitlines()[1])
    return record["output"], record["confidence"], record["prompt_tokens"]


def what_is_kept(answer: Answer) -> tuple[str, float, int]:
    return answer.text, round(answer.confidence, 4), answer.prompt_tokens


def test_a_line_for_each_question_in_videorefers_format_and_a_score_by_type(
    run_gar: RunGar, gar_tiny: Path, videos: Path
) -> None:
    data = write_items(videos, item(), item(video=FOLDER), PAIR)
    code, printed, err = run_gar(*command(gar_tiny, data))
    assert code == 0
    assert printed.startswith("answered: 3 of 3 items\n")
    table = printed.partition("type ")[2].splitlines()
    assert [line.split()[0] for line in table[1:]] == ["Basic", "Relationship", "overall"]
    assert [line.split()[-2].partition("/")[2] for line in table[1:]] == ["2", "1", "3"]
    lines = predictions(videos)
    assert [list(line) for line in lines] == [["video", "Answer", "pred", "type"]] * 3
    assert [line["video"] for line in lines] == [CLIP, FOLDER, FOLDER]
    assert all(line["pred"] for line in lines)
    assert err.startswith("3 of 3 items, ")


@pytest.mark.parametrize(("video", "most", "asked"), [(CLIP, 3, [0, 4, 6]), (FOLDER, 5, [0, 2, 4, 6])])
def test_one_object_is_asked_about_in_frames_that_show_it(
    run_gar: RunGar, gar_tiny: Path, videos: Path, video: str, most: int, asked: list[int]
) -> None:
    data = write_items(videos, item(video=video))
    assert run_gar(*command(gar_tiny, data, "--frames", most))[0] == 0
    engine = GarEngine.open(gar_tiny, "cpu")
    read = read_item(item(video=video), Place(data))
    images = load_frames(videos / video, asked, Place(data))
    region = Region.from_mask("Prompt0", decode(MASKS[0], (WIDTH, HEIGHT)))
    frame = engine.encode_video([(images[number], region) for number in asked])
    assert journal_record(videos) == what_is_kept(frame.ask(read.text, max_tokens=4))


@pytest.mark.parametrize(("one", "options"), [(item(), ("--frames", 1)), (PAIR, ())])
def test_one_frame_is_the_benchmarks_own(
    run_gar: RunGar, gar_tiny: Path, videos: Path, one: dict[str, Any], options: tuple[object, ...]
) -> None:
    data = write_items(videos, one)
    assert run_gar(*command(gar_tiny, data, *options))[0] == 0
    engine = GarEngine.open(gar_tiny, "cpu")
    read = read_item(one, Place(data))
    image = load_frames(videos / one["video"], [4], Place(data))[4]
    regions = [
        Region.from_mask(f"Prompt{number}", decode(MASKS[number], (WIDTH, HEIGHT)))
        for number in range(len(one["annotation"]))
    ]
    assert journal_record(videos) == what_is_kept(engine.encode(image, regions).ask(read.text, max_tokens=4))


def test_by_likelihood_it_is_always_a_letter(run_gar: RunGar, gar_tiny: Path, videos: Path) -> None:
    data = write_items(videos, item(), PAIR)
    assert run_gar(*command(gar_tiny, data, "--by-likelihood"))[0] == 0
    assert {line["pred"] for line in predictions(videos)} <= {"A", "B", "C"}


def test_right_answers_are_counted_by_the_letter(run_gar: RunGar, gar_tiny: Path, videos: Path) -> None:
    likeliest = write_items(videos, item())
    run_gar(*command(gar_tiny, likeliest, "--by-likelihood"))
    (letter,) = [line["pred"] for line in predictions(videos)]
    (videos / "out.jsonl").unlink()
    (videos / "out.jsonl.jsonl").unlink()
    wrong = next(one for one in "ABC" if one != letter)
    data = write_items(videos, *(item(Answer=f"({one}) it", type=one) for one in (letter, wrong)))
    code, printed, _ = run_gar(*command(gar_tiny, data, "--by-likelihood"))
    assert code == 0
    counts = {line.split()[0]: line.split()[1] for line in printed.splitlines() if "/1 " in line or "/2 " in line}
    assert counts == {letter: "1/1", wrong: "0/1", "overall": "1/2"}


def cut_clip(videos: Path) -> dict[str, Any]:
    whole = (videos / CLIP).read_bytes()
    (videos / "cut.mp4").write_bytes(whole[:400])
    return item(video="cut.mp4")


def with_mask(segmentation: object) -> dict[str, Any]:
    return item(annotation=[{"4": {"segmentation": segmentation}}])


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (lambda _: 7, "expected an object, got 7"),
        (lambda _: item(video="\ud800\n"), "/\\ud800\\n'"),
        (
            lambda _: item(Answer="(D) pink"),
            "key 'Answer': expected an answer with one of the options' letters A, B, C",
        ),
        (
            lambda _: item(video="clips/none.mp4"),
            "key 'video': expected a video file or a folder of frames, found nothing",
        ),
        (cut_clip, "can't be read as a video"),
        (
            lambda _: item(annotation=[{"9": {"segmentation": MASKS[0]}}]),
            "key 'video': expected a frame 9 in '",
        ),
        (
            lambda _: with_mask(compressed(np.ones((9, 9), np.uint8))),
            "key 'annotation[0].4.segmentation': expected 'size' [48, 64], the image's, got [9, 9]",
        ),
        (lambda _: with_mask("x"), "key 'annotation[0].4.segmentation': expected an RLE"),
        (
            lambda _: with_mask(compressed(squares(1)[0] * 0)),
            "expected a mask with a pixel inside in some frame, got none",
        ),
        (lambda _: with_mask(None), "expected a mask with a pixel inside in some frame, got none"),
        (lambda _: {**PAIR, "frame_idx": "5"}, "expected a mask of <Prompt0> in frame 5 (frame_idx), got none"),
    ],
)
def test_a_bad_item_costs_itself_and_stands_in_the_summary(
    run_gar: RunGar, gar_tiny: Path, videos: Path, bad: Callable[[Path], Any], expected: str
) -> None:
    data = write_items(videos, item(), bad(videos), item(video=FOLDER))
    code, printed, err = run_gar(*command(gar_tiny, data))
    assert code == 0
    (told,) = [line for line in err.splitlines() if line.startswith("skipped: ")]
    assert f"skipped: '{data}', item 1" in told
    assert expected in told
    assert printed.startswith("answered: 2 of 3 items\nunanswered: 1, INVALID_REQUEST, such as: ")
    assert printed.splitlines()[-1].split()[1].endswith("/3")
    lines = predictions(videos)
    assert [line["pred"] == "-" for line in lines] == [False, True, False]
    assert expected in lines[1]["unanswered"]


def test_more_objects_than_prompts_are_counted(run_gar: RunGar, gar_tiny: Path, videos: Path) -> None:
    data = write_items(videos, SIX, item())
    code, printed, err = run_gar(*command(gar_tiny, data))
    assert code == 0
    assert "unanswered: 1, TOO_MANY_REGIONS, such as: 6 regions, the model has 5 prompts" in printed
    assert "skipped" not in err


def test_a_run_continues_and_asks_what_was_mended(run_gar: RunGar, gar_tiny: Path, videos: Path) -> None:
    data = write_items(videos, item(), item(video="late.mp4"), PAIR)
    assert "answered: 1 of 2 items" in run_gar(*command(gar_tiny, data, "--limit", 2))[1]
    answered = (videos / "out.jsonl.jsonl").read_bytes()
    write_video(videos / "late.mp4", noise(3))
    code, printed, err = run_gar(*command(gar_tiny, data))
    assert code == 0
    assert err.startswith("continuing: 1 of 3 items are answered")
    assert printed.startswith("answered: 3 of 3 items\n")
    assert (videos / "out.jsonl.jsonl").read_bytes().startswith(answered)
    assert [line["video"] for line in predictions(videos)] == [CLIP, "late.mp4", FOLDER]
    again = run_gar(*command(gar_tiny, data))
    assert again == (0, printed, "all 3 items were answered before\n")


def test_where_nothing_can_be_asked_no_model_is_needed(run_gar: RunGar, gar_tiny: Path, videos: Path) -> None:
    data = write_items(videos, item(video="none"))
    code, printed, err = run_gar(*command(gar_tiny, data))
    assert code == 0
    assert printed.startswith("answered: 0 of 1 items\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--frames", 6), "expected --frames of at most 5, the model's prompts, got 6"),
        (("--videos", "none"), "'none': expected the folder of the videos, found none"),
    ],
)
def test_options_that_fit_no_item_are_refused(
    run_gar: RunGar, gar_tiny: Path, videos: Path, options: tuple[object, ...], expected: str
) -> None:
    code, printed, err = run_gar(*command(gar_tiny, write_items(videos, item()), *options))
    assert (code, printed) == (2, "")
    assert expected in err
    assert not (videos / "out.jsonl.jsonl").exists()


def test_frames_are_spread_evenly_from_the_first_to_the_last() -> None:
    assert spread([3, 5, 8, 9, 12], 3) == [3, 8, 12]
    assert spread([3, 5], 5) == [3, 5]
    assert spread(list(range(32)), 5) == [0, 8, 16, 23, 31]
