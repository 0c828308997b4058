# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes on disk and in memory: the runtime's tile pixels, instance labels, attributes, exact truth.

A shard is a folder of .npy files and one JSON file; N scenes of a shard come from seeds `first_seed .. first_seed + N
- 1`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_export.train.tiny_checkpoint import TILE
from gar_ros.engine.tiling import mask_ids, tile_pixels
from gar_ros.json_reader import read
from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import COLOURS, FINISHES, MAX_OBJECTS, SHAPES, SIZES, Scene
from gar_ros.sim.transforms import to_vec3
from gar_ros.sim.truth import RELATIONS, SceneTruth, scene_truth

ATTRIBUTES = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "finish": FINISHES}
ABSENT = 255  # attribute of an object that the scene doesn't have
WHOLE = (1, 1)  # tiles_w, tiles_h: the whole picture is one tile

HELD_OUT_SEEDS = 1_000_000  # training seeds stay below; validation and test scenes start here

CAMERA = (640, 480)  # width, height in pixels of the held-out pictures, and of the bench's
TRAINING_CAMERAS = ((640, 480), (448, 336), (448, 336), (512, 288))
TRAINING_COUNTS = ((3, 8), (3, 8), (3, 8), (1, 4), (8, MAX_OBJECTS))  # of objects, drawn from
ANY_TABLE = 0.3  # share of the training scenes whose table has any colour

ARRAYS = ("tiles", "labels", "attributes", "depths", "seeds")
STATES = "states.jsonl"
TRUTHS = "truths.npz"
PER_OBJECT = ("pixels", "visible", "askable", "centroid", "centre", "distance")  # arrays of SceneTruth


@dataclass(frozen=True, eq=False)
class Scenes:
    """N rendered scenes.

    tiles: uint8 (N, 3, TILE, TILE), each the whole picture. labels: uint8 (N, TILE, TILE), 0 none, i + 1 object i.
    attributes: uint8 (N, MAX_OBJECTS, 4), index into ATTRIBUTES' words or ABSENT. depths: float32 (N, MAX_OBJECTS),
    metres along the optical axis of the objects' centres. seeds: int64 (N,). truths: the exact scenes and what is true
    of them.
    """

    tiles: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    attributes: NDArray[np.uint8]
    depths: NDArray[np.float32]
    seeds: NDArray[np.int64]
    truths: list[SceneTruth]

    def __len__(self) -> int:
        return len(self.seeds)

    @classmethod
    def empty(cls, count: int) -> Scenes:
        """Arrays to be filled."""
        return cls(
            tiles=np.zeros((count, 3, TILE, TILE), np.uint8),
            labels=np.zeros((count, TILE, TILE), np.uint8),
            attributes=np.full((count, MAX_OBJECTS, len(ATTRIBUTES)), ABSENT, np.uint8),
            depths=np.zeros((count, MAX_OBJECTS), np.float32),
            seeds=np.zeros(count, np.int64),
            truths=[],
        )

    @classmethod
    def load(cls, folders: Sequence[Path]) -> Scenes:
        """All scenes of the shards, in memory."""
        counts = [len(np.load(folder / "seeds.npy", mmap_mode="r")) for folder in folders]
        whole = cls.empty(sum(counts))
        at = 0
        for folder, count in zip(folders, counts, strict=True):
            for name in ARRAYS:
                getattr(whole, name)[at : at + count] = np.load(folder / f"{name}.npy", mmap_mode="r")
            whole.truths.extend(_load_truths(folder))
            at += count
        return whole

    def save(self, folder: Path) -> None:
        """Writes a shard; `seeds.npy` last, so that a shard that has it is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        _save_truths(folder, self.truths)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))


def _save_truths(folder: Path, truths: list[SceneTruth]) -> None:
    lines = [json.dumps(dataclasses.asdict(truth.scene)) + "\n" for truth in truths]
    (folder / STATES).write_text("".join(lines), encoding="utf-8")
    # One row an object: scenes have different numbers of them.
    columns = {name: np.concatenate([getattr(truth, name) for truth in truths]) for name in PER_OBJECT}
    relations = [
        np.stack([truth.relations[name] for name in RELATIONS]).reshape(len(RELATIONS), -1) for truth in truths
    ]
    columns["relations"] = np.concatenate(relations, 1)
    np.savez(folder / TRUTHS, allow_pickle=False, **columns)


def _load_truths(folder: Path) -> list[SceneTruth]:
    with (folder / STATES).open(encoding="utf-8") as lines:
        states = [read(line, Scene) for line in lines]
    with np.load(folder / TRUTHS, allow_pickle=False) as file:
        arrays = {name: file[name] for name in (*PER_OBJECT, "relations")}
    truths, row, cell = [], 0, 0
    for scene in states:
        count = len(scene.objects)
        matrices = arrays["relations"][:, cell : cell + count * count].reshape(-1, count, count)
        relations = dict(zip(RELATIONS, matrices, strict=True))
        truths.append(
            SceneTruth(scene, **{name: arrays[name][row : row + count] for name in PER_OBJECT}, relations=relations)
        )
        row, cell = row + count, cell + count * count
    return truths


def finished_shards(folder: Path, kind: str) -> list[Path]:
    """The whole shards of `kind` ("train" or "held-out"), sorted."""
    return sorted(path.parent for path in folder.glob(f"{kind}-*/seeds.npy"))


def training_scene(seed: int) -> tuple[Scene, tuple[int, int]]:
    """A scene of any number of objects, on any table, and the size (width, height) of its picture in pixels."""
    rng = np.random.default_rng(seed)
    camera = TRAINING_CAMERAS[rng.integers(len(TRAINING_CAMERAS))]
    scene = random_scene(seed, TRAINING_COUNTS[rng.integers(len(TRAINING_COUNTS))])
    if rng.random() < ANY_TABLE:
        scene = dataclasses.replace(scene, table_rgb=to_vec3(rng.uniform(0.1, 0.9, 3)))
    return scene, camera


def render_scenes(first_seed: int, count: int, varied: bool) -> Scenes:
    """Draws `count` scenes: varied ones as `training_scene` says, otherwise as the bench asks about."""
    scenes = Scenes.empty(count)
    with ExitStack() as open_renderers:
        renderers = {
            size: open_renderers.enter_context(TabletopRenderer(*size)) for size in {CAMERA, *TRAINING_CAMERAS}
        }
        for index in range(count):
            seed = first_seed + index
            scene, size = training_scene(seed) if varied else (random_scene(seed), CAMERA)
            _fill(scenes, index, seed, scene, renderers[size])
    return scenes


def _fill(scenes: Scenes, index: int, seed: int, scene: Scene, renderer: TabletopRenderer) -> None:
    picture = renderer.render(scene, depth=False)
    count = len(scene.objects)
    masks = [picture.labels == number for number in range(1, count + 1)]
    scenes.tiles[index] = tile_pixels(picture.rgb, WHOLE, TILE)[0]
    scenes.labels[index] = mask_ids(masks, range(1, count + 1), WHOLE, TILE, thumbnail=False, none=0)[0]
    scenes.attributes[index, :count] = attribute_indexes(scene)
    scenes.depths[index, :count] = [scene.camera.pose_of(item)[0][2] for item in scene.objects]
    scenes.seeds[index] = seed
    scenes.truths.append(scene_truth(scene, picture.labels))


def attribute_indexes(scene: Scene) -> NDArray[np.uint8]:
    """(objects, 4) indexes into the words of ATTRIBUTES."""
    rows = [[words.index(getattr(item, name)) for name, words in ATTRIBUTES.items()] for item in scene.objects]
    return np.array(rows, np.uint8)


def write_shard(folder: Path, kind: str, first_seed: int, count: int) -> Path:
    """Renders a shard into `folder` unless it is there; its path. Raises ValueError for seeds of the other kind."""
    if (first_seed + count > HELD_OUT_SEEDS) == (kind == "train"):
        raise ValueError(f"expected seeds below {HELD_OUT_SEEDS} for train only, got {first_seed} for {kind}")
    shard = folder / f"{kind}-{first_seed:07d}"
    if not (shard / "seeds.npy").is_file():
        render_scenes(first_seed, count, varied=kind == "train").save(shard)
    return shard
