# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest

from gar_ros.demo.film import WIDTH, Film
from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.errors import GarError
from gar_ros.view.colours import region_colour

READABLE_MS = 1500
GREEN, RED = (76, 200, 110), (240, 84, 84)


def overlay(grey: int) -> np.ndarray:
    return np.full((480, 640, 3), grey, np.uint8)


def frames_of(path: Path) -> list[tuple[np.ndarray, int]]:
    """Pixels (H, W, 3) and milliseconds of each frame."""
    with PIL.Image.open(path) as film:
        return [
            (np.array(frame.convert("RGB")), int(frame.info["duration"])) for frame in PIL.ImageSequence.Iterator(film)
        ]


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


def filmed(tmp_path: Path, *rows: Row) -> list[tuple[np.ndarray, int]]:
    film = Film()
    film.open(overlay(50))
    for number, row in enumerate(rows):
        film.answer(overlay(100 + 50 * number), "1. A title", row)
    film.save(tmp_path / "film.gif")
    return frames_of(tmp_path / "film.gif")


def test_a_question_comes_before_its_answer(tmp_path: Path) -> None:
    frames = filmed(tmp_path, Row(RIGHT, "Is 5 inside 3?", "yes", "yes", 0.9, 0.1))
    assert not any(has_colour(picture, GREEN) for picture, _ in frames[:-1])
    picture, milliseconds = frames[-1]
    assert has_colour(picture, GREEN) and milliseconds >= READABLE_MS


def test_the_picture_changes_with_the_answer(tmp_path: Path) -> None:
    frames = filmed(tmp_path, Row(RIGHT, "Is 5 inside 3?", "yes", "yes", 0.9, 0.1))
    greys = [int(picture[0, 0, 0]) for picture, _ in frames]
    assert greys[-1] == pytest.approx(100, abs=3) and greys[:-1] == pytest.approx([50] * (len(greys) - 1), abs=3)


def test_what_is_wrong_is_red(tmp_path: Path) -> None:
    (*_, (picture, _)) = filmed(tmp_path, Row(WRONG, "Is 5 inside 3?", "no", "yes", 0.9, 0.1))
    assert has_colour(picture, RED) and not has_colour(picture, GREEN)


def test_ids_have_the_colours_that_they_have_in_the_overlay(tmp_path: Path) -> None:
    ((picture, _), *_) = filmed(tmp_path, Row(RIGHT, "Is 5 inside 3?", "yes", "yes", 0.9, 0.1))
    assert has_colour(picture, region_colour("5")) and has_colour(picture, region_colour("3"))
    assert not has_colour(picture, region_colour("1"))  # of the title


def test_seconds_are_no_ids(tmp_path: Path) -> None:
    (*_, (picture, _)) = filmed(tmp_path, Row(RIGHT, "Told: Is 5 inside 3? yes", "0.02 s late", "in 1 s", 0.9))
    assert has_colour(picture, region_colour("5")) and has_colour(picture, region_colour("3"))
    assert not has_colour(picture, region_colour("0")) and not has_colour(picture, region_colour("02"))


def test_it_runs_without_end_in_one_size(tmp_path: Path) -> None:
    filmed(tmp_path, *(Row(RIGHT, "Is 5 inside 3?", "yes", "yes", 0.9, 0.1) for _ in range(2)))
    with PIL.Image.open(tmp_path / "film.gif") as film:
        assert film.info["loop"] == 0 and film.width == WIDTH


def test_a_scene_graph_comes_fact_by_fact(tmp_path: Path) -> None:
    film = Film()
    rows = [Row(RIGHT, "5 inside 3", "true", "true", 0.9), Row(MISSED, "6 touching 3", "< 0.5", "true")]
    film.facts(overlay(100), "4. The scene graph", rows)
    film.save(tmp_path / "film.gif")
    (first, _), (second, milliseconds) = frames_of(tmp_path / "film.gif")
    assert has_colour(first, GREEN) and not has_colour(first, RED)
    assert has_colour(second, GREEN) and has_colour(second, RED) and milliseconds >= READABLE_MS


def test_a_film_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GarError, match="none came"):
        Film().save(tmp_path / "film.gif")
