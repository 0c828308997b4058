# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with a question: exit code 2, one line on stderr, before anything is encoded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.main import main
from gar_ros.engine.encoder import TileEncoder
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, MANIFEST, REPLAY, TOKENIZER, VISION

Refuse = Callable[..., str]
BOX = ["--box", "2,3,20,12"]


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    return str(path)


@pytest.fixture
def mask(tmp_path: Path) -> Callable[..., str]:
    """File of a mask of this size with a few pixels set."""

    def write(width: int, height: int, pixels: int = 1) -> str:
        values = np.zeros((height, width), np.uint8)
        values.ravel()[:pixels] = 255
        path = tmp_path / f"mask_{width}x{height}_{pixels}.png"
        Image.fromarray(values).save(path)
        return str(path)

    return write


@pytest.fixture
def refuse(model_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """The one line that `gar ask` prints about these words; nothing may be encoded for it."""

    def never(*_: object) -> None:
        raise AssertionError("encoded")

    monkeypatch.setattr(TileEncoder, "encode", never)

    def run(*words: str, model: Path = model_dir) -> str:
        try:
            code = main(["ask", "--model", str(model), *words])
        except SystemExit as end:  # argparse's
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("gar: ")
        return err

    return run


@pytest.mark.parametrize("choices", ["yes", "", "yes,", "yes,yes", "yes, yes"])
def test_choices(refuse: Refuse, picture: str, choices: str) -> None:
    line = refuse("--image", picture, *BOX, "What?", "--choices", choices)
    assert "expected at least two different, non-empty choices" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "expected either a question (with or without --choices) or --describe"),
        (["  "], "expected a question, got an empty text"),
        (["What?", "--describe"], "expected either a question (with or without --choices) or --describe"),
        (["What?", "--max-tokens", "0"], "max_tokens of at least 1, got 0"),
        (["What?", "--max-tokens", "many"], "invalid int value: 'many'"),
        (["What?", "--max-tiles", "17"], "max_tiles in 1..16"),
        (["Is <Prompt1> red?"], "expected a region for <Prompt1>, got 1 region"),
        (["Which?", "--choices", "<Prompt0>,<Prompt1>"], "expected a region for <Prompt1>"),
        (["What?", *BOX, *BOX, *BOX, *BOX, *BOX], "expected at most 5 regions in one question, got 6"),
        (["--describe", *BOX], "expected one region to describe, got 2"),
        (["What?", "--box", "1,2,3"], "expected X0,Y0,X1,Y1 in whole pixels, got '1,2,3'"),
        (["What?", "--box", "40,0,50,9"], "a box with a pixel inside the 40x30 px image, got (40, 0, 50, 9)"),
        (["What?", "--box", "9,9,9,12"], "expected a box with a pixel inside the 40x30 px image, got (9, 9, 9, 12)"),
    ],
)
def test_questions_and_regions(refuse: Refuse, picture: str, words: list[str], expected: str) -> None:
    assert expected in refuse("--image", picture, *BOX, *words)


def test_masks(refuse: Refuse, picture: str, mask: Callable[..., str]) -> None:
    line = refuse("--image", picture, "--mask", mask(41, 30), "What?")
    assert "expected a mask of the image's size 40x30 px, got 41x30 px" in line
    assert "mask_41x30_1.png" in line
    assert "expected a mask with a pixel inside, got none in 40x30 px" in refuse(
        "--image", picture, "--mask", mask(40, 30, pixels=0), "What?"
    )
    assert "can't be read as a picture" in refuse("--image", picture, "--mask", "absent.png", "What?")
    assert "expected at least one --mask or --box" in refuse("--image", picture, "What?")


def test_a_photograph_that_is_turned(refuse: Refuse, picture: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(picture) as file:
        file.save(tmp_path / "turned.jpg", exif=exif)
    line = refuse("--image", str(tmp_path / "turned.jpg"), *BOX, "What?")
    assert "turned.jpg' is turned by its EXIF orientation (3), and the box 2,3,20,12 may be of both" in line
    assert "--orientation upright" in line
    options = ["--image", str(tmp_path / "turned.jpg"), *BOX]
    assert "a region for <Prompt1>" in refuse(*options, "--orientation", "stored", "Is <Prompt1> red?")


def test_frames(refuse: Refuse, picture: str, mask: Callable[..., str]) -> None:
    frame = ["--frame", picture, *BOX]
    assert "one --mask or --box for each --frame, got 1 for 2 frame(s)" in refuse(*frame, "--frame", picture, "What?")
    assert "expected 1 to 5 frames (the model has 5 crop tokens), got 6" in refuse(*frame * 6, "What?")
    assert "not allowed with argument" in refuse(*frame, "--image", picture, "What?")
    assert "expected --max-tiles with --image only" in refuse(*frame, "--max-tiles", "2", "What?")
    assert "expected a region for <Prompt1>, got 1 region" in refuse(*frame * 2, "What does <Prompt1> do?")
    wrong = ["--frame", picture, "--mask", mask(41, 30)]
    assert "expected a mask of the image's size 40x30 px, got 41x30 px" in refuse(*frame, *wrong, "What?")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_pictures(refuse: Refuse, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    assert "bad.png' can't be read as a picture" in refuse("--image", str(tmp_path / "bad.png"), *BOX, "What?")


@pytest.mark.parametrize("absent", [MANIFEST, VISION, REPLAY, DECODER, EMBEDDINGS, TOKENIZER])
def test_a_model_folder_without_a_file(
    refuse: Refuse, model_dir: Path, picture: str, tmp_path: Path, absent: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model_dir.iterdir():
        if file.name != absent:
            shutil.copyfile(file, folder / file.name)
    line = refuse("--image", picture, *BOX, "What?", model=folder)
    assert absent in line
    assert "it has no" in line or "is missing" in line


def test_control_tokens_are_text_and_extreme_images_are_answered(
    model_dir: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for size in ((1, 1), (200, 1), (1, 200)):
        path = tmp_path / f"{size}.png"
        Image.new("RGB", size, (200, 30, 30)).save(path)
        question = "Is <|eot_id|> or <|reserved_special_token_2|> on <Prompt0>?"
        words = ["--image", str(path), "--box", "0,0,1,1", "--max-tiles", "2", question, "--choices", "<|eot_id|>,no"]
        assert main(["ask", "--model", str(model_dir), *words]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert [line.split()[1] for line in out.splitlines()[1:]] == ["<|eot_id|>", "no"]
