# SPDX-License-Identifier: Apache-2.0
"""Stored scenes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gar_export.train.scenes import (
    CAMERA,
    TRAINING_CAMERAS,
    Scenes,
    render_scenes,
    training_scene,
    write_shard,
)
from gar_export.train.tiny_checkpoint import TILE
from gar_ros.json_reader import read
from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import Scene


def test_a_scene_survives_json() -> None:
    scene = random_scene(5)
    assert read(json.dumps(dataclasses.asdict(scene)), Scene) == scene


def test_a_saved_shard_is_loaded_as_it_was(tmp_path: Path) -> None:
    scenes = render_scenes(3, 2, varied=True)
    scenes.save(tmp_path / "train-a")
    render_scenes(9, 1, varied=False).save(tmp_path / "train-b")
    loaded = Scenes.load([tmp_path / "train-a", tmp_path / "train-b"])
    assert loaded.seeds.tolist() == [3, 4, 9]
    assert np.array_equal(loaded.tiles[:2], scenes.tiles)
    assert loaded.truths[1].scene == scenes.truths[1].scene
    for name, matrix in scenes.truths[1].relations.items():
        assert np.array_equal(loaded.truths[1].relations[name], matrix)


def test_labels_name_the_objects_of_the_state() -> None:
    scenes = render_scenes(3, 1, varied=True)
    count = len(scenes.truths[0].scene.objects)
    assert scenes.labels.max() <= count
    assert (scenes.attributes[0, count:] == 255).all() and (scenes.attributes[0, :count] < 8).all()


def test_held_out_seeds_can_not_become_training_scenes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected seeds below"):
        write_shard(tmp_path, "train", 1_000_000, 1)


def test_training_scenes_are_varied_and_the_same_each_time() -> None:
    drawn = [training_scene(seed) for seed in range(60)]
    assert drawn[7] == training_scene(7)
    assert {size for _, size in drawn} == set(TRAINING_CAMERAS)
    counts = {len(scene.objects) for scene, _ in drawn}
    assert min(counts) < 3 and max(counts) > 8


def test_held_out_pictures_are_those_the_bench_asks_about() -> None:
    scenes = render_scenes(1_000_003, 1, varied=False)
    with TabletopRenderer(*CAMERA) as renderer:
        picture = renderer.render(random_scene(1_000_003), depth=False)
    assert scenes.truths[0].scene == random_scene(1_000_003)
    # One of every label's pixels in the small picture lies where the large one has it.
    rows = np.arange(TILE) * CAMERA[1] // TILE
    columns = np.arange(TILE) * CAMERA[0] // TILE
    assert np.array_equal(scenes.labels[0], picture.labels[rows][:, columns])
