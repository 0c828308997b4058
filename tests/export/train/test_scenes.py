"""Stored scenes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gar_ros.export.train.scenes import (
    CANVAS,
    Scenes,
    join_tiles,
    render_scenes,
    scene_from_json,
    split_canvas,
    write_shard,
)
from gar_ros.export.train.tiny_checkpoint import TILE
from gar_ros.sim.generate import random_scene


def test_tiles_and_canvas_are_the_same_pixels() -> None:
    tiles = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, TILE, TILE), np.uint8)
    canvas = join_tiles(tiles)
    assert canvas.shape == (3, CANVAS, CANVAS)
    assert [canvas[0, 0, 0], canvas[0, 0, -1], canvas[0, -1, 0], canvas[0, -1, -1]] == [0, 1, 2, 3]
    assert np.array_equal(split_canvas(canvas[None])[0], tiles)


def test_a_scene_survives_json() -> None:
    scene = random_scene(5)
    assert scene_from_json(json.dumps(dataclasses.asdict(scene))) == scene


def test_a_saved_shard_is_loaded_as_it_was(tmp_path: Path) -> None:
    scenes = render_scenes(3, 2)
    scenes.save(tmp_path / "train-a")
    render_scenes(9, 1).save(tmp_path / "train-b")
    loaded = Scenes.load([tmp_path / "train-a", tmp_path / "train-b"])
    assert loaded.seeds.tolist() == [3, 4, 9]
    assert np.array_equal(loaded.canvases[:2], scenes.canvases)
    assert loaded.truths[1].scene == scenes.truths[1].scene
    for name, matrix in scenes.truths[1].relations.items():
        assert np.array_equal(loaded.truths[1].relations[name], matrix)


def test_labels_name_the_objects_of_the_state() -> None:
    scenes = render_scenes(3, 1)
    count = len(scenes.truths[0].scene.objects)
    assert scenes.labels.max() <= count
    assert (scenes.attributes[0, count:] == 255).all() and (scenes.attributes[0, :count] < 8).all()


def test_held_out_seeds_can_not_become_training_scenes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected seeds below"):
        write_shard(tmp_path, "train", 1_000_000, 1)
