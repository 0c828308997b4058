# SPDX-License-Identifier: Apache-2.0
"""`gar bench dlc-bench`: a caption for every annotation of DLC-Bench. Their judge is an LLM and no part of this."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gar_ros.bench.files import Place, picture_size, read_items, read_json, write_whole
from gar_ros.bench.harness import Job, run_jobs, run_settings, summary
from gar_ros.bench.masks import check_segmentation
from gar_ros.bench.options import add_run_arguments
from gar_ros.engine.encoded_frame import Answer, EncodedFrame

_MAX_TOKENS = 1024  # as released


class _Coco(msgspec.Struct):
    """The parts of a COCO file that are read."""

    images: list[Any]
    annotations: Annotated[list[Any], msgspec.Meta(min_length=1, description="a list of at least one annotation")]


_COCO = Annotated[_Coco, msgspec.Meta(description="an object with 'images' and 'annotations'")]


class _Picture(msgspec.Struct):
    id: int
    file_name: str


class _Annotation(msgspec.Struct):
    id: int
    image_id: int
    segmentation: Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench dlc-bench`."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="JSON", help="annotations: a COCO file with RLEs or polygons"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    add_run_arguments(parser, str(_MAX_TOKENS))


def run(args: argparse.Namespace) -> int:
    """Writes {annotation id: caption} and prints what was answered. Raises GarError."""
    args.max_tokens = args.max_tokens or _MAX_TOKENS
    jobs = read_jobs(args.data, args.images, args.max_tokens, args.limit)
    records = run_jobs(args, jobs, run_settings(args, args.data, benchmark="dlc-bench"))
    captions = {key: record["output"] for key, record in records.items()}
    write_whole(args.out, json.dumps(captions, ensure_ascii=False, indent=1) + "\n")
    print(f"{summary(list(records.values()))}\ncaptions: '{args.out}'")
    return 0


def read_jobs(path: Path, images: Path, max_tokens: int, limit: int | None = None) -> list[Job]:
    """The first `limit` annotations of a COCO file, image by image as released. Raises GarError INVALID_REQUEST."""
    data = Place(path).read(read_json(path), _COCO)
    by_image: dict[int, list[tuple[Place, _Annotation]]] = {}
    pictures: dict[int, tuple[Place, str]] = {}
    for place, picture in read_items(path, data.images, "images", _Picture):
        if picture.id in pictures:
            raise place.at("id").error(f"repeats the id {picture.id} of {pictures[picture.id][0].item}")
        pictures[picture.id] = (place, picture.file_name)
        by_image[picture.id] = []
    keys: dict[int, Place] = {}
    for place, annotation in read_items(path, data.annotations, "annotations", _Annotation):
        if annotation.id in keys:
            raise place.at("id").error(f"repeats the id {annotation.id} of {keys[annotation.id].item}")
        keys[annotation.id] = place
        if annotation.image_id not in pictures:
            raise place.at("image_id").error(f"'images' has no id {annotation.image_id}")
        by_image[annotation.image_id].append((place, annotation))

    ordered = [(number, *entry) for number, entries in by_image.items() for entry in entries]
    return [
        _job(images, pictures[number], place, annotation, max_tokens) for number, place, annotation in ordered[:limit]
    ]


def _job(images: Path, picture: tuple[Place, str], place: Place, annotation: _Annotation, max_tokens: int) -> Job:
    picture_place, name = picture
    size = picture_size(images / name, picture_place.at("file_name"))
    segmentation = annotation.segmentation
    check_segmentation(segmentation, size, place.at("segmentation"))

    def describe(frame: EncodedFrame) -> Answer:
        return frame.describe(max_tokens)

    return Job(str(annotation.id), place, images / name, size, (("segmentation", segmentation),), describe)
