# SPDX-License-Identifier: Apache-2.0
"""Frames by number, of a real mp4 and of a folder of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.bench.files import Place
from gar_ros.bench.video_frames import check_video, load_frames
from gar_ros.errors import GarError
from tests.bench.conftest import HEIGHT, WIDTH, write_video

PLACE = Place(Path("data.json"), "item 4", "video")
SHADES = [0, 40, 80, 120, 160, 200, 240]
"""Of the frames' red, in their order; green and blue are 0."""


def shaded(shade: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), (shade, 0, 0), np.uint8)


@pytest.fixture
def mp4(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", [shaded(shade) for shade in SHADES])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Numbered from 00012 on, as datasets do that begin with a later frame."""
    path = tmp_path / "frames"
    path.mkdir()
    for number, shade in enumerate(SHADES, 12):
        Image.fromarray(shaded(shade)).save(path / f"{number:05}.png")
    (path / ".DS_Store").touch()
    return path


def test_a_file_gives_the_frames_that_were_asked_for_in_rgb(mp4: Path) -> None:
    frames = load_frames(mp4, [5, 1], PLACE)
    assert sorted(frames) == [1, 5]
    for number, pixels in frames.items():
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_allclose(pixels.reshape(-1, 3).mean(0), (SHADES[number], 0, 0), atol=12)  # it is compressed


def test_a_folder_counts_its_pictures_by_name(folder: Path) -> None:
    frames = load_frames(folder, [0, 6], PLACE)
    np.testing.assert_array_equal(frames[0], shaded(0))
    np.testing.assert_array_equal(frames[6], shaded(240))


@pytest.mark.parametrize("kind", ["mp4", "folder"])
def test_a_frame_beyond_the_end_is_told_with_how_many_there_are(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    with pytest.raises(GarError) as caught:
        load_frames(path, [2, 7, 9], PLACE)
    assert caught.value.message == (
        f"'data.json', item 4, key 'video': expected a frame 7 in '{path}', which has 7 frames (counted from 0)"
    )


def test_what_is_no_video_is_refused(tmp_path: Path, mp4: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes(mp4.read_bytes()[:400])
    for name in ("text.mp4", "cut.mp4", "none.mp4"):
        with pytest.raises(GarError, match=f"key 'video': '.*{name}' can't be read as a video"):
            load_frames(tmp_path / name, [0], PLACE)


def test_a_picture_that_is_none_is_refused(folder: Path) -> None:
    (folder / "00013.png").write_text("no picture")
    assert sorted(load_frames(folder, [0, 2], PLACE)) == [0, 2]
    with pytest.raises(GarError, match="key 'video': can't be read as a picture"):
        load_frames(folder, [1], PLACE)


def test_a_missing_video_is_told_before_it_is_read(tmp_path: Path, mp4: Path) -> None:
    check_video(mp4, PLACE)
    check_video(tmp_path, PLACE)
    with pytest.raises(GarError, match=r"expected a video file or a folder of frames, found nothing at '.*none'"):
        check_video(tmp_path / "none", PLACE)
