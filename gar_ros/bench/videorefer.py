# SPDX-License-Identifier: Apache-2.0
"""`gar bench videorefer`: VideoRefer-BenchQ's questions about objects in videos, answered and scored by type.

The model takes one object in several frames, or several objects in one frame. So a question about one object is asked
about frames spread over those that show it, one about several objects about the benchmark's single frame.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from gar_ros.bench.files import Place, read_json, write_whole
from gar_ros.bench.harness import check_prompts, manifest_of, region_of, run_jobs, run_settings, summary, told_where
from gar_ros.bench.journal import Record
from gar_ros.bench.masks import check_segmentation
from gar_ros.bench.options import add_run_arguments, positive
from gar_ros.bench.score import counted, rows_of
from gar_ros.bench.unanswered import BadItems
from gar_ros.bench.video_frames import Frames, check_video, load_frames
from gar_ros.bench.videorefer_items import Item, Mask, letter_of, read_item
from gar_ros.engine.encoded_frame import Answer, EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import printable
from gar_ros.region import Region

_MAX_TOKENS = 32  # an answer that needs more is no letter
_NONE = "-"
"""Written for an answer without a letter that could be right: VideoRefer's scorer fails on an empty one."""
_UNKNOWN = "(unknown)"  # type of an item that doesn't say it

_Items = Annotated[list[Any], msgspec.Meta(min_length=1, description="a list of items")]


@dataclass(frozen=True)
class VideoJob:
    """One question. video: its file or folder of frames. frames: most that are asked about.

    letters: of the options, to answer with the likeliest of them; none to answer with a text.
    """

    key: str
    item: Item
    video: Path
    frames: int
    max_tokens: int
    letters: tuple[str, ...]

    @property
    def place(self) -> Place:
        """See `harness.Task`."""
        return self.item.place

    def anywhere(self) -> VideoJob:
        """See `harness.Task`."""
        return replace(self, video=self.video.absolute())

    def answer(self, engine: GarEngine, max_tiles: int | None) -> Answer:
        """See `harness.Task`."""
        check_prompts(len(self.item.objects), engine.prompts.max_regions)
        if len(self.item.objects) == 1 and self.frames > 1:
            frame = self._encode_frames(engine)
        else:
            frame = self._encode_one(engine, max_tiles)
        with told_where(self.item.place):
            return frame.ask(self.item.text, self.letters, self.max_tokens)

    def _encode_frames(self, engine: GarEngine) -> EncodedFrame:
        masks = {number: mask for number, mask in self.item.objects[0].items() if not mask.is_empty}
        if not masks:
            raise self.item.place.at("annotation").error("expected a mask with a pixel inside in some frame, got none")
        numbers = spread(sorted(masks), self.frames)
        images = self._load(numbers)
        seen = [(images[number], _region(0, masks[number], images[number])) for number in numbers]
        with told_where(self.item.place):
            return engine.encode_video(seen)

    def _encode_one(self, engine: GarEngine, max_tiles: int | None) -> EncodedFrame:
        item = self.item
        for number, masks in enumerate(item.objects):
            if item.frame not in masks:
                raise item.place.at("annotation").error(
                    f"expected a mask of <Prompt{number}> in frame {item.frame} (frame_idx), got none"
                )
        image = self._load([item.frame])[item.frame]
        regions = [_region(number, masks[item.frame], image) for number, masks in enumerate(item.objects)]
        with told_where(item.place):
            return engine.encode(image, regions, max_tiles)

    def _load(self, numbers: list[int]) -> Frames:
        return load_frames(self.video, numbers, self.item.place.at("video"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench videorefer`."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="JSON", help="annotations: VideoRefer-Bench-Q.json as published"
    )
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="DIR",
        help="folder of the videos, which are files or folders of frames (default: that of the annotations)",
    )
    parser.add_argument(
        "--frames",
        type=positive,
        metavar="N",
        help="most frames of a question about one object; 1 asks about frame_idx alone, as is always done where there "
        "are several objects (default: the model's prompts)",
    )
    parser.add_argument(
        "--by-likelihood", action="store_true", help="answer with the likeliest of the options' letters, not with text"
    )
    add_run_arguments(parser, str(_MAX_TOKENS))


def run(args: argparse.Namespace) -> int:
    """Writes the predictions, prints what was answered and the score. Raises GarError."""
    args.max_tokens = args.max_tokens or _MAX_TOKENS
    prompts = len(manifest_of(args.model).tokens.prompts)
    frames = args.frames or prompts
    if frames > prompts:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected --frames of at most {prompts}, the model's prompts, got {frames}"
        )
    videos = args.videos or args.data.parent
    sources = Place(args.data).read(read_json(args.data), _Items)
    if not videos.is_dir():
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{videos}': expected the folder of the videos, found none")
    bad = BadItems()
    jobs = []
    for index, source in enumerate(sources[: args.limit]):
        with bad.skipping(str(index)):
            jobs.append(_job(index, source, args, videos, frames))
    settings = run_settings(
        args, args.data, benchmark="videorefer", frames=frames, by_likelihood=bool(args.by_likelihood)
    )
    records = run_jobs(args, jobs, settings, bad)
    asked = [(source, records[str(index)]) for index, source in enumerate(sources) if str(index) in records]
    lines = [json.dumps(_prediction(source, record)) + "\n" for source, record in asked]
    write_whole(args.out, "".join(lines))
    print(f"{summary(list(records.values()))}\npredictions: '{args.out}'\n")
    answers = [(printable(_text(source, "type")) or _UNKNOWN, _right(source, record)) for source, record in asked]
    print("\n".join(rows_of(*counted(answers))))
    return 0


def spread(numbers: list[int], most: int) -> list[int]:
    """At most so many of the sorted numbers, from the first to the last at even distances."""
    count = min(most, len(numbers))
    return [numbers[index] for index in np.linspace(0, len(numbers) - 1, count).round().astype(int)]


def _job(index: int, source: Any, args: argparse.Namespace, videos: Path, frames: int) -> VideoJob:
    item = read_item(source, Place(args.data, f"item {index}"))
    check_video(videos / item.video, item.place.at("video"))
    letters = item.letters if args.by_likelihood else ()
    return VideoJob(str(index), item, videos / item.video, frames, args.max_tokens, letters)


def _region(number: int, mask: Mask, image: Any) -> Region:
    height, width = image.shape[:2]
    check_segmentation(mask.segmentation, (width, height), mask.place)
    return region_of(number, mask.segmentation, (width, height), mask.place)


def _prediction(source: Any, record: Record) -> Record:
    """A line of VideoRefer's predictions; `unanswered` is there only where there is no answer."""
    output = record["output"] if record["output"].replace(".", "") else _NONE
    reason = {"unanswered": record["unanswered"]} if record["unanswered"] else {}
    named = {name: _text(source, name) for name in ("video", "Answer", "type")}
    return {"video": named["video"], "Answer": named["Answer"], "pred": output, "type": named["type"], **reason}


def _right(source: Any, record: Record) -> bool:
    """As VideoRefer's scorer counts, which knows no upper and lower case."""
    return bool(record["output"]) and letter_of(record["output"]).lower() == letter_of(_text(source, "Answer")).lower()


def _text(source: Any, name: str) -> str:
    """Of an item that may be anything."""
    value = source.get(name) if isinstance(source, dict) else None
    return value if isinstance(value, str) else ""
