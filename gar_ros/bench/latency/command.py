# SPDX-License-Identifier: Apache-2.0
"""The options of `gar bench latency`, and the order in which the sides are asked."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gar_ros.bench.files import write_whole
from gar_ros.bench.journal import Journal
from gar_ros.bench.latency.picture import drawn
from gar_ros.bench.latency.rows import Results, plural, tables
from gar_ros.bench.latency.scene import Scene, drawn_scene
from gar_ros.bench.latency.sides import LIMITS, RELEASED, Side, limits_side, our_side, released_side
from gar_ros.bench.latency.text import as_json, markdown
from gar_ros.bench.latency.work import (
    CHOICE_TOKENS,
    DESCRIBED_REGIONS,
    GRAPH_REGIONS,
    KINDS,
    Case,
    Measured,
    work_of,
)
from gar_ros.bench.options import positive
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import Manifest
from gar_ros.engine.runtime.select import GONE, PROVIDERS
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, convert
from gar_ros.pictures.files import load_image, load_mask
from gar_ros.progress import timed_lines

_ANSWER_TOKENS, _DESCRIPTION_TOKENS, _QUICK_TOKENS = 16, 32, 3
_TILES, _REGIONS = (1, 4, 16), (1, 5)
_MAIN_TILES = 4  # of descriptions and scene graph


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench latency`."""
    add = parser.add_argument
    add(
        "--model",
        dest="models",
        action="append",
        metavar="DIR[:PROVIDER]",
        help=f"an exported model, once or several times; PROVIDER is one of {', '.join(PROVIDERS)}, by default cpu "
        "(default: the shipped gar-tiny)",
    )
    add(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="what the released way runs (default: the one that the first model was exported from)",
    )
    add("--image", type=Path, metavar="FILE", help="the picture (default: one of 1280x720 that is drawn)")
    add("--mask", dest="masks", action="append", type=Path, metavar="FILE", help="a region of --image, once for each")
    add("--tiles", type=positive, nargs="+", metavar="N", help="(default: 1 4 16)")
    add("--regions", type=positive, nargs="+", metavar="N", help="(default: 1 5)")
    add("--case", dest="kinds", choices=KINDS, nargs="+", default=list(KINDS), help="(default: all)")
    add("--repeats", type=positive, default=3, metavar="N", help="rounds; medians are told (default: %(default)s)")
    add("--threads", type=positive, default=os.cpu_count(), metavar="N", help="(default: all cores)")
    add("--without-released", action="store_true", help="measure only what is served here")
    add(
        "--journal",
        type=Path,
        metavar="FILE",
        help="holds what is measured so far; the same command continues from it, also with other cases and repeats",
    )
    add("--stop-after", type=float, default=float("inf"), metavar="S", help="begin nothing after so many seconds")
    add("--json", type=Path, metavar="FILE", help="also write the rows, and all that was measured, as JSON")
    add("--markdown", type=Path, metavar="FILE", help="also write the tables that are printed")
    add("--picture", type=Path, metavar="FILE", help="draw how the cost grows, as a PNG")
    add("--quick", action="store_true", help="only see that it works: one round of few tokens, numbers mean nothing")


def run(args: argparse.Namespace) -> int:
    """Measures and prints the tables. Raises GarError INVALID_REQUEST or BAD_MODEL."""
    if args.quick:
        args.repeats, args.tiles, args.regions = 1, args.tiles or [1], args.regions or [1]
    models = [_model_of(text) for text in args.models or [str(default_model_dir())]]
    manifests = [ModelDir.open(folder).manifest for folder, _ in models]
    scene = _scene_of(args)
    checkpoint = None if args.without_released else _checkpoint_of(args, models[0][0], manifests[0])
    settings = _settings(args, checkpoint)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene.write(folder / "scene.npz")
        sides = [] if args.quick else [limits_side(args.threads)]
        if checkpoint is not None:
            sides.append(released_side(checkpoint, args.threads, folder / "scene.npz", limits=not args.quick))
        for name, (model, provider) in zip(_names(models), models, strict=True):
            sides.append(our_side(name, model, provider, args.threads, folder / "scene.npz"))
        for side in sides:
            stack.enter_context(side)
        journal = stack.enter_context(Journal(args.journal or folder / "journal", settings))
        results = measure(args, list(_cases(args, manifests, scene)), sides, journal)
    _report(args, results)
    return 0


def measure(args: argparse.Namespace, cases: Sequence[Case], sides: Sequence[Side], journal: Journal) -> Results:
    """Every side's work of every round, the sides taking turns, as far as time allows; and what the journal has."""
    tell, end = timed_lines(), time.monotonic() + args.stop_after
    for number in range(args.repeats):
        for case in cases:
            for side in sides:
                key = f"{case.name}/{case.tokens}/{number}/{side.name}"
                again = number > 0 and side.name == LIMITS  # the median over the cases is enough
                if key not in journal.records and not again and time.monotonic() < end:
                    measured = side.measure(work_of(_case_for(side, case), number))
                    journal.add(key, {"case": dataclasses.asdict(case), **dataclasses.asdict(measured)})
                    tell(f"{case.name}, round {number + 1} of {args.repeats}: {side.name}")
    results = Results()
    for key, record in journal.records.items():
        try:
            case, measured = convert(record["case"], Case), convert(record, Measured)
        except (JsonError, KeyError) as error:
            raise GarError(ErrorCode.INVALID_REQUEST, f"'{journal.path}': '{key}' is damaged: {error}") from error
        results.add(case, key.split("/", 3)[3], measured)
    return results


def _case_for(side: Side, case: Case) -> Case:
    return dataclasses.replace(case, kind="limits") if side.name == LIMITS else case


def _cases(args: argparse.Namespace, manifests: Sequence[Manifest], scene: Scene) -> Iterator[Case]:
    """The cases in their order, as far as all models can do them."""
    most_tiles = min(manifest.tiles.max_tiles for manifest in manifests)
    most_regions = min(min(len(manifest.tokens.prompts) for manifest in manifests), len(scene.masks))
    tokens = _QUICK_TOKENS if args.quick else _ANSWER_TOKENS
    main = min(_MAIN_TILES, most_tiles)
    for kind in KINDS:
        if kind not in args.kinds:
            continue
        if kind == "question":
            for tiles in sorted({min(tiles, most_tiles) for tiles in args.tiles or _TILES}):
                for regions in sorted({min(regions, most_regions) for regions in args.regions or _REGIONS}):
                    yield Case(kind, tiles, regions, tokens)
        elif kind == "descriptions":
            length = _QUICK_TOKENS if args.quick else _DESCRIPTION_TOKENS
            yield Case(kind, main, min(DESCRIBED_REGIONS, len(scene.masks)), length)
        elif len(scene.masks) > 1:
            yield Case(kind, main, min(GRAPH_REGIONS, len(scene.masks)), CHOICE_TOKENS)


def _report(args: argparse.Namespace, results: Results) -> None:
    made, limits = tables(results), results.limits()
    text = markdown(made, limits, _machine(args.threads))
    print(text)
    if args.markdown is not None:
        write_whole(args.markdown, text + "\n")
    if args.json is not None:
        about = {"machine": _machine(args.threads), **as_json(made, limits)}
        write_whole(args.json, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    if args.picture is not None:
        args.picture.write_bytes(drawn(results))


def _model_of(text: str) -> tuple[Path, str]:
    """Folder and provider of a --model. A provider is what follows the last colon, where there is one of that name."""
    folder, colon, provider = text.rpartition(":")
    if provider in GONE:
        raise GarError(ErrorCode.INVALID_REQUEST, GONE[provider])
    if colon and provider in PROVIDERS:
        return Path(folder), provider
    return Path(text), "cpu"


def _names(models: Sequence[tuple[Path, str]]) -> list[str]:
    """A name for each model: its folder's, with the provider where that is not the CPU."""
    names = [f"{folder.resolve().name}{'' if provider == 'cpu' else f' on {provider}'}" for folder, provider in models]
    if len(set(names)) < len(names) or {RELEASED, LIMITS} & set(names):
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected models of different names, got {', '.join(names)}")
    return names


def _checkpoint_of(args: argparse.Namespace, model: Path, manifest: Manifest) -> Path | None:
    """The checkpoint that the released way runs, None where torch is not installed or the default one is absent."""
    if args.checkpoint is not None and not args.checkpoint.is_dir():
        what = f"expected the checkpoint's folder, found none at '{args.checkpoint}'"
        raise GarError(ErrorCode.INVALID_REQUEST, what)
    if find_spec("torch") is None:
        print("gar: torch is not installed, so only what is served here is measured", file=sys.stderr)
        return None
    if args.checkpoint is not None:
        return Path(args.checkpoint.resolve())
    exported_from = model / manifest.source["checkpoint"]
    for folder in (exported_from, model / "checkpoint"):
        if folder.is_dir():
            return folder.resolve()
    what = f"the checkpoint '{exported_from}' is not there, so only what is served here is measured"
    print(f"gar: {what}; name it with --checkpoint", file=sys.stderr)
    return None


def _scene_of(args: argparse.Namespace) -> Scene:
    if args.image is None:
        if args.masks:
            raise GarError(ErrorCode.INVALID_REQUEST, "expected --image with --mask")
        return drawn_scene()
    if not args.masks:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one --mask with --image")
    image = load_image(args.image)
    masks = [load_mask(path) for path in args.masks]
    for path, mask in zip(args.masks, masks, strict=True):
        if mask.shape != image.shape[:2]:
            sizes = " and ".join(f"{shape[1]}x{shape[0]}" for shape in (image.shape, mask.shape))
            raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}': expected a mask of the image's size, got {sizes}")
    return Scene(image, np.stack(masks))


def _settings(args: argparse.Namespace, checkpoint: Path | None) -> dict[str, object]:
    """What must be the same for measurements to stand in one table; models may come one after another."""
    return {
        "benchmark": "latency",
        "checkpoint": str(checkpoint),
        "threads": args.threads,
        "image": str(args.image),
        "masks": [str(path) for path in args.masks or ()],
    }


def _machine(threads: int) -> dict[str, str]:
    """What ran this, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "threads": plural(threads, "thread")}
