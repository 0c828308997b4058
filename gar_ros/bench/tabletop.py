# SPDX-License-Identifier: Apache-2.0
"""`gar bench tabletop`: how often a model is right about rendered tabletop scenes, whose truth is known exactly.

Beside each accuracy stand chance (a guess among the possible answers) and blind: the same model, asked the same
questions about a grey picture whose regions all cover the whole of it, so that only the text can tell the answer.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gar_ros.bench.tabletop_find import Found, find_in_scene, find_summary, find_table
from gar_ros.bench.tabletop_scenes import CAPTION_FORM, Asked, RegionChange, Setting, asked_about
from gar_ros.bench.tabletop_score import Result, result_of, summary, table
from gar_ros.engine.command_line import add_engine_arguments, open_engine
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.progress import progress
from gar_ros.region import Region
from gar_ros.sim.questions import Question
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import MAX_OBJECTS

FIRST_SEED = 2_000_000  # below lie scenes that gar-tiny was trained on or chosen by
FIND_SCENES = 200  # at most, of six objects each, in which things are sought by words
BLIND_SCENES = 200  # at most, that are asked about without their picture too
ANSWER_TOKENS = 16
_GREY = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench tabletop`."""
    add = parser.add_argument
    add_engine_arguments(parser, model_required=True, provider="cpu")
    add("--scenes", type=int, default=1000, metavar="N", help="(default: %(default)s)")
    add("--seed", type=int, default=FIRST_SEED, metavar="S", help="of the first scene (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write accuracies as JSON, shares 0..1")
    add("--size", default="640x480", metavar="WxH", help="of the pictures, pixels (default: %(default)s)")
    add("--objects", default="3,8", metavar="MIN,MAX", help=f"in a scene, 1 to {MAX_OBJECTS} (default: %(default)s)")
    add(
        "--regions-as",
        default="mask",
        metavar="HOW",
        help="mask, box, eroded:N, dilated:N or shifted:N, N in pixels of the picture (default: %(default)s)",
    )
    add("--jpeg", type=int, metavar="QUALITY", help="compress the pictures, quality 1 to 100")
    add("--any-table", action="store_true", help="tables of any colour")
    add(
        "--features",
        default="exact",
        choices=("exact", "shared"),
        help="prompt the asked regions only, or all regions of the picture, as the node's parameter (default: exact)",
    )
    add("--without-replay", action="store_true", help="zeros for the regions' tokens: for a model trained so")
    add("--max-tiles", type=int, metavar="N", help="tiles of an image (default: the model's)")


def run(args: argparse.Namespace) -> int:
    """Prints the table. Raises GarError INVALID_REQUEST or BAD_MODEL."""
    setting = setting_of(args)
    if args.scenes < 1:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected at least one scene, got --scenes {args.scenes}")
    engine = open_engine(args)
    seeds = range(args.seed, args.seed + args.scenes)
    report = measure(engine, seeds, setting, args.max_tiles, args.features == "shared", args.without_replay)
    print(table(report))
    print(f"\n{find_table(report['find'])}")
    if args.json is not None:
        about = {"model": engine.manifest.name, "scenes": args.scenes, "seed": args.seed, **_options(args)}
        args.json.write_text(json.dumps({**about, **report}, indent=1) + "\n", encoding="utf-8")
    return 0


def setting_of(args: argparse.Namespace) -> Setting:
    """From the options. Raises GarError INVALID_REQUEST naming the option."""
    size = _pair(args.size, "x", "--size WxH of at least 64 pixels")
    objects = _pair(args.objects, ",", f"--objects MIN,MAX within 1..{MAX_OBJECTS}")
    if min(size) < 64:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected --size WxH of at least 64 pixels, got {args.size}")
    if not 1 <= objects[0] <= objects[1] <= MAX_OBJECTS:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected --objects MIN,MAX within 1..{MAX_OBJECTS}, got {args.objects}"
        )
    if args.jpeg is not None and not 1 <= args.jpeg <= 100:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected --jpeg 1..100, got {args.jpeg}")
    return Setting(size, objects, RegionChange.parse(args.regions_as), args.jpeg, args.any_table)


def _pair(text: str, separator: str, expected: str) -> tuple[int, int]:
    first, _, second = text.partition(separator)
    if not (first.isdecimal() and second.isdecimal()):
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected {expected}, got '{text}'")
    return int(first), int(second)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    names = ("size", "objects", "regions_as", "jpeg", "any_table", "features", "without_replay", "max_tiles")
    return {name: getattr(args, name) for name in names}


def measure(
    engine: GarEngine,
    seeds: range,
    setting: Setting,
    max_tiles: int | None = None,
    shared: bool = False,
    without_replay: bool = False,
) -> dict[str, Any]:
    """Asks about the scenes of `seeds`; see `summary` for what comes back. shared: the features of all regions are.

    without_replay: the regions' tokens are zero.

    `seconds`: medians, from a choice of regions to its first answer, and of each further answer about them.
    """
    results: list[Result] = []
    blind: list[Result] = []
    unseen: dict[int, EncodedFrame] = {}
    first: list[float] = []
    further: list[float] = []
    found: list[Found] = []
    encode = _Shared(engine, max_tiles).encode if shared else partial(_exact, engine, max_tiles)
    if without_replay:
        encode = partial(_without_replay, engine, max_tiles)
    with TabletopRenderer(*setting.size) as renderer:
        for seed in progress(seeds, 0, len(seeds), "scene", lambda: _right(results)):
            for asked in asked_about(renderer, seed, setting):
                times = [time.perf_counter()]
                frame = encode(asked)
                for question in asked.questions:
                    results.append(answered(frame, question))
                    times.append(time.perf_counter())
                first.append(times[1] - times[0])
                further += list(np.diff(times[1:]))
                if seed < seeds.start + BLIND_SCENES:
                    count = len(asked.regions)
                    if count not in unseen:
                        unseen[count] = without_picture(engine, asked, max_tiles)
                    blind += [answered(unseen[count], question) for question in asked.questions]
            if seed < seeds.start + FIND_SCENES:
                found += find_in_scene(engine, renderer, seed, max_tiles)
    if not results:
        raise GarError(ErrorCode.INVALID_REQUEST, "none of the scenes shows an object well enough to ask about it")
    seconds = {"first": float(np.median(first)), "further": float(np.median(further))}
    return {**summary(results, blind), "find": find_summary(found), "seconds": seconds}


def _exact(engine: GarEngine, max_tiles: int | None, asked: Asked) -> EncodedFrame:
    return engine.encode(asked.image, asked.regions, max_tiles)


def _without_replay(engine: GarEngine, max_tiles: int | None, asked: Asked) -> EncodedFrame:
    seen = engine.encode_image(asked.image, asked.regions, max_tiles)
    nothing = np.zeros_like(np.asarray(seen.replay))
    return engine.from_features(seen.features, asked.regions, [nothing])


class _Shared:
    """Encodes every picture once, with all its regions prompted."""

    def __init__(self, engine: GarEngine, max_tiles: int | None) -> None:
        self._engine, self._max_tiles = engine, max_tiles
        self._seed: int | None = None

    def encode(self, asked: Asked) -> EncodedFrame:
        """The picture with the asked regions, as they were when it was first asked about."""
        if asked.seed != self._seed:
            self._seed = asked.seed
            self._regions = {region.id: region for region in asked.regions + asked.others}
            self._seen = self._engine.encode_image(asked.image, tuple(self._regions.values()), self._max_tiles)
        places = {region_id: place for place, region_id in enumerate(self._regions)}
        chosen = [places[region.id] for region in asked.regions]
        replays = [self._seen.replay[place : place + 1] for place in chosen]
        return self._engine.from_features(
            self._seen.features, [self._regions[one.id] for one in asked.regions], replays, self._seen.shared
        )


def without_picture(engine: GarEngine, asked: Asked, max_tiles: int | None) -> EncodedFrame:
    """A grey picture of the same size, with as many regions that cover all of it."""
    image = np.full_like(asked.image, _GREY)
    everything = np.ones(image.shape[:2], bool)
    return engine.encode(image, [Region.from_mask(one.id, everything) for one in asked.regions], max_tiles)


def answered(frame: EncodedFrame, question: Question) -> Result:
    """What the model says, compared with the truth."""
    if question.kind == CAPTION_FORM:
        answer = frame.describe(ANSWER_TOKENS)
    else:
        answer = frame.ask(question.text, question.choices, ANSWER_TOKENS)
    return result_of(question, answer.text, answer.confidence)


def _right(results: list[Result]) -> str:
    return f"{sum(one.right for one in results)} of {len(results)} answers right"
