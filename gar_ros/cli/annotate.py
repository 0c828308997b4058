# SPDX-License-Identifier: Apache-2.0
"""`gar annotate`: asks about the images of a recorded bag and writes answers and overlay pictures into a new one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from gar_ros.engine.command_line import add_engine_arguments, open_engine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.progress import now_and_then


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar annotate`."""
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="rosbag2 bag: folder, .mcap or .db3")
    add("--out", type=Path, required=True, metavar="BAG", help="folder of the new MCAP bag, which must not exist")
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
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the bag and says what is in it. Raises GarError."""
    try:
        from gar_ros.bag.annotate import Asking, annotate
        from gar_ros.bag.files import BagReader, BagWriter, check_new
        from gar_ros.bag.inputs import Inputs, Topics
        from gar_ros.bag.plan import make_plan
        from gar_ros.bag.summary import why_alone
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gar_ros"):
            raise
        what = f"gar annotate needs the Python package {error.name}, which is not installed"
        raise GarError(ErrorCode.INVALID_REQUEST, what) from error
    for option, seconds in (("--every", args.every), ("--slop", args.slop)):
        if not 0 <= seconds < 1e9:
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected {option} of 0 seconds or more, got {seconds}")
    if args.choices is not None and not args.questions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected a --question to go with --choices")
    asking = Asking(
        questions=tuple(args.questions),
        choices=tuple(args.choices.split(",")) if args.choices else (),
        region_ids=tuple(args.region_ids),
        every_ns=round(args.every * 1e9),
        max_tokens=args.max_tokens,
        max_tiles=args.max_tiles,
    )
    slop_ns = round(args.slop * 1e9) or None
    with BagReader(args.bag, args.recover) as reader:
        types = reader.types()
        inputs = Inputs(Topics(args.image, args.regions, args.instances).resolved(types), types)
        engine = open_engine(args)
        questions = asking.parse(engine)
        check_new(args.out)
        # All that will be copied is read now: damage should show before hours of answers are lost to it.
        read = reader.messages(inputs.kinds if args.without_input else None)
        plan = make_plan(read, inputs.kinds, slop_ns, inputs.together, _progress("{} messages read"))
        told = [*why_alone(plan, inputs, slop_ns), *(f"'{file}': {why}" for file, why in reader.damage.items())]
        if not plan.due:
            _tell([*told, f"no image on {args.image} can be answered about; '{args.out}' is not written"])
            return 1
        with BagWriter(args.out) as writer:
            progress = _progress("{} images")
            done = annotate(reader, writer, engine, inputs, plan, asking, questions, not args.without_input, progress)
    told += [f"{times} message(s) left out: {reason}" for reason, times in done.skipped.items()]
    told += [
        f"{times} message(s) on {topic} have detections that are left out, or without their ids; the first: {first}"
        for topic, (times, first) in done.odd.items()
    ]
    told += [f"{times} message(s) not copied: {reason}" for reason, times in writer.not_copied.items()]
    if done.bare:
        told.append(f"in {done.bare} images no region has a pixel")
    if done.between:
        told.append(f"{done.between} images left out: less than {args.every:g} s from an answered one; see --every")
    _tell(told)
    print(f"{done.answers} answers about {done.images} images in {args.out}")
    return 0 if done.images and not reader.damage else 1


def _tell(sentences: list[str]) -> None:
    for sentence in sentences:
        print(f"gar: {sentence}", file=sys.stderr)


def _progress(text: str) -> Callable[[int], None]:
    show, times = now_and_then(), count(1)
    return lambda _: show(text.format(next(times)))
