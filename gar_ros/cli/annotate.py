# SPDX-License-Identifier: Apache-2.0
"""`gar annotate`: asks about the images of recorded bags and writes answers and overlay pictures into new ones."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from gar_ros.cli.annotate_bags import annotate_many, annotate_one
from gar_ros.engine.command_line import add_engine_arguments, open_engine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import MANIFEST
from gar_ros.errors import ErrorCode, GarError, missing_package
from gar_ros.fleet.cluster import add_fleet_arguments, cluster_of, worker_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar annotate`."""
    add = parser.add_argument
    add(
        "bags",
        nargs="+",
        metavar="BAG",
        help="rosbag2 bag (folder, .mcap or .db3), folder of bags, pattern in quotes, or URL that fsspec reads",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for one BAG that is a bag: folder of the new MCAP bag, which must not exist; otherwise a folder for all "
        "new bags, where the same command continues",
    )
    add("--image", default="/image", metavar="TOPIC", help="camera images, compressed or not (default: %(default)s)")
    add(
        "--regions",
        default="",
        metavar="TOPIC",
        help="detections on them: gar_ros/RegionArray, vision_msgs/Detection2DArray or yolo_msgs/DetectionArray "
        "(default: /regions, where the bag has it)",
    )
    add(
        "--instances",
        default="",
        metavar="TOPIC",
        help="label images of the same stamps, instead of --regions or with the masks of its boxes (default: "
        "/instances, where --regions is not given)",
    )
    add(
        "--question",
        dest="questions",
        action="append",
        default=[],
        metavar="TEXT",
        help="may be repeated; without, every region is described",
    )
    add("--choices", metavar="A,B,..", help="answer with one of these, separated by commas")
    add(
        "--region",
        dest="region_ids",
        action="append",
        default=[],
        metavar="ID",
        help="<Prompt0>, then <Prompt1>..; without, every region is asked about alone",
    )
    add("--every", type=float, default=1.0, metavar="SECONDS", help="between images; 0: all (default: %(default)s)")
    add(
        "--slop",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="pair images with the nearest regions whose stamps differ by less; 0: stamps must be equal (default: 0)",
    )
    add("--recover", action="store_true", help="answer what can be read of a damaged bag, or of one never closed")
    add("--without-input", action="store_true", help="don't copy the bag's own messages")
    add("--max-tiles", type=int, metavar="N", help="tiles of an image besides its thumbnail")
    add("--max-tokens", type=int, default=64, metavar="N", help="limit of a free answer (default: %(default)s)")
    add("--table", type=Path, metavar="FILE", help="also write the answers as a Parquet table (needs pyarrow)")
    add_engine_arguments(parser)
    add_fleet_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the bags and says what is in them. Raises GarError."""
    try:
        from gar_ros.bag.annotate import Asking
        from gar_ros.bag.answering import BagWorker, Task
        from gar_ros.bag.find import find_bags
        from gar_ros.bag.inputs import Topics
        from gar_ros.bag.table import require_pyarrow
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gar_ros"):
            raise
        raise missing_package("gar annotate", error.name) from error
    for option, seconds in (("--every", args.every), ("--slop", args.slop)):
        if not 0 <= seconds < 1e9:
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected {option} of 0 seconds or more, got {seconds}")
    if args.choices is not None and not args.questions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected a --question to go with --choices")
    if args.table is not None:
        require_pyarrow()
    asking = Asking(
        questions=tuple(args.questions),
        choices=tuple(args.choices.split(",")) if args.choices else (),
        region_ids=tuple(args.region_ids),
        every_ns=round(args.every * 1e9),
        max_tokens=args.max_tokens,
        max_tiles=args.max_tiles,
    )
    task = Task(
        Topics(args.image, args.regions, args.instances),
        asking,
        slop_ns=round(args.slop * 1e9) or None,
        recover=args.recover,
        with_input=not args.without_input,
        table=args.table is not None,
    )
    cluster = cluster_of(args)
    worker = BagWorker(task, partial(open_engine, worker_options(args, cluster)))
    jobs = find_bags(args.bags, args.out)
    if [job.out for job in jobs] == [args.out.absolute()]:
        return annotate_one(jobs[0], worker, cluster, args.table)
    return annotate_many(jobs, worker, cluster, args.out.absolute(), _settings(args), args.table)


def _settings(args: argparse.Namespace) -> dict[str, object]:
    """What decides what the new bags hold. Raises GarError BAD_MODEL."""
    manifest = (args.model or default_model_dir()) / MANIFEST
    if not manifest.is_file():
        raise GarError(ErrorCode.BAD_MODEL, f"expected an exported model folder, '{manifest}' does not exist")
    names: tuple[str, ...] = (
        "image",
        "regions",
        "instances",
        "questions",
        "choices",
        "region_ids",
        "every",
        "slop",
        "recover",
    )
    names += ("without_input", "max_tiles", "max_tokens")
    return {"manifest_sha256": sha256_of(manifest), **{name: getattr(args, name) for name in names}}
