"""`gar bench dlc-bench`: a caption for every annotation of DLC-Bench. Their judge is an LLM and no part of this."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gar_ros.bench.files import Place, objects, picture_size, read_json, shortened, write_whole
from gar_ros.bench.harness import Job, run_jobs, run_settings, summary
from gar_ros.bench.masks import check_segmentation
from gar_ros.bench.options import add_run_arguments
from gar_ros.engine.encoded_frame import Answer, EncodedFrame

_MAX_TOKENS = 1024  # as released


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
    data = read_json(path)
    if not isinstance(data, dict):
        raise Place(path).error(f"expected an object with 'images' and 'annotations', got {shortened(data)}")
    by_image: dict[int, list[tuple[Place, dict[str, Any]]]] = {}
    pictures: dict[int, tuple[Place, str]] = {}
    for place, picture in objects(path, Place(path).get(data, "images", list), "images"):
        number = place.get(picture, "id", int)
        if number in pictures:
            raise place.at("id").error(f"repeats the id {number} of {pictures[number][0].item}")
        pictures[number] = (place, place.get(picture, "file_name", str))
        by_image[number] = []
    keys: dict[str, Place] = {}
    for place, annotation in objects(path, Place(path).get(data, "annotations", list), "annotations"):
        key = str(place.get(annotation, "id", int))
        if key in keys:
            raise place.at("id").error(f"repeats the id {key} of {keys[key].item}")
        keys[key] = place
        number = place.get(annotation, "image_id", int)
        if number not in pictures:
            raise place.at("image_id").error(f"'images' has no id {number}")
        by_image[number].append((place, annotation))

    ordered = [(number, *entry) for number, entries in by_image.items() for entry in entries]
    if not ordered:
        raise Place(path, key="annotations").error("expected at least one annotation, got none")
    return [
        _job(images, pictures[number], place, annotation, max_tokens) for number, place, annotation in ordered[:limit]
    ]


def _job(images: Path, picture: tuple[Place, str], place: Place, annotation: dict[str, Any], max_tokens: int) -> Job:
    picture_place, name = picture
    size = picture_size(images / name, picture_place.at("file_name"))
    if "segmentation" not in annotation:
        raise place.at("segmentation").error("missing")
    segmentation = annotation["segmentation"]
    check_segmentation(segmentation, size, place.at("segmentation"))

    def describe(frame: EncodedFrame) -> Answer:
        return frame.describe(max_tokens)

    return Job(str(annotation["id"]), place, images / name, size, (("segmentation", segmentation),), describe)
