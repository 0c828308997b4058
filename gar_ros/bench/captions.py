# SPDX-License-Identifier: Apache-2.0
"""Captions for a list of regions: what the benchmarks have in common that ask for nothing else."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gar_ros.bench.files import Place, picture_size, read_json, write_whole
from gar_ros.bench.harness import Job, run_jobs, run_settings, summary
from gar_ros.bench.journal import Record
from gar_ros.bench.masks import check_segmentation
from gar_ros.bench.options import add_run_arguments
from gar_ros.bench.unanswered import BadItems
from gar_ros.engine.encoded_frame import Answer, EncodedFrame
from gar_ros.errors import ErrorCode, GarError

_MAX_TOKENS = 1024  # as released

_Items = Annotated[list[Any], msgspec.Meta(min_length=1, description="a list of items")]


@dataclass(frozen=True)
class Marked:
    """The region that an item is about. image: below the folder of images; the keys name where both stand."""

    image: str
    image_key: str
    segmentation: Any
    mask_key: str


@dataclass(frozen=True)
class Captioned:
    """An item with its caption, for the predictions. source: the item's keys, none where it is no object."""

    source: dict[str, Any]
    images: Path
    caption: str

    def image(self, key: str) -> str:
        """Path of the image that the item names by this key, as the released code writes it."""
        name = self.source.get(key)
        return str(self.images / name) if isinstance(name, str) else ""


def add_caption_arguments(parser: argparse.ArgumentParser, data: str, images: str) -> None:
    """The options of such a benchmark. data, images: which of its files and folders these are, in words."""
    parser.add_argument("--data", type=Path, required=True, metavar="JSON", help=f"annotations: {data}")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help=f"folder of the images: {images}")
    add_run_arguments(parser, str(_MAX_TOKENS))


def write_captions(
    args: argparse.Namespace,
    benchmark: str,
    marked: Callable[[Any, Place], Marked],
    prediction: Callable[[Captioned], Record],
) -> int:
    """Writes the predictions and prints what was answered; returns the exit code.

    marked: reads an item and raises GarError for a bad one, which costs that item alone. prediction: an item of the
    released predictions, to which `unanswered` is added where there is no caption.
    Raises GarError.
    """
    args.max_tokens = args.max_tokens or _MAX_TOKENS
    sources = Place(args.data).read(read_json(args.data), _Items)
    if not args.images.is_dir():
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{args.images}': expected the folder of the images, found none")
    bad = BadItems()
    jobs = []
    for index, source in enumerate(sources[: args.limit]):
        place = Place(args.data, f"item {index}")
        with bad.skipping(str(index)):
            jobs.append(_job(str(index), place, marked(source, place), args.images, args.max_tokens))
    records = run_jobs(args, jobs, run_settings(args, args.data, benchmark=benchmark), bad)
    predictions = []
    for index, source in enumerate(sources):
        if record := records.get(str(index)):
            keys = source if isinstance(source, dict) else {}
            reason = {"unanswered": record["unanswered"]} if record["unanswered"] else {}
            predictions.append({**prediction(Captioned(keys, args.images, record["output"])), **reason})
    # In ASCII, as the text of a bad item may be no Unicode.
    write_whole(args.out, json.dumps(predictions, indent=1) + "\n")
    print(f"{summary(list(records.values()))}\npredictions: '{args.out}'")
    return 0


def _job(key: str, place: Place, marked: Marked, images: Path, max_tokens: int) -> Job:
    path = images / marked.image
    size = picture_size(path, place.at(marked.image_key))
    check_segmentation(marked.segmentation, size, place.at(marked.mask_key))

    def describe(frame: EncodedFrame) -> Answer:
        return frame.describe(max_tokens)

    mask = ((marked.mask_key, marked.segmentation),)
    return Job(key, place, path, size, mask, describe, marked.image_key)
