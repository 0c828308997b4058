# SPDX-License-Identifier: Apache-2.0
"""The run that all generating benchmarks share: questions about images, answered in order, resumable."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.files import Place, load_picture
from gar_ros.bench.journal import Journal, Record
from gar_ros.bench.masks import decode, require_pycocotools
from gar_ros.bench.unanswered import UNASKABLE, BadItems, WrongData, unanswered
from gar_ros.engine.command_line import open_engine
from gar_ros.engine.encoded_frame import Answer, EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import MANIFEST, Manifest
from gar_ros.errors import ErrorCode, GarError
from gar_ros.fleet.cluster import cluster_of, worker_options
from gar_ros.fleet.work import Lost, Worker, working
from gar_ros.progress import progress
from gar_ros.region import Region


class Task(Protocol):
    """One question of an annotation file."""

    @property
    def key(self) -> str:
        """Names it in the journal."""

    @property
    def place(self) -> Place:
        """Where it stands."""

    def anywhere(self) -> Task:
        """The same question, with paths that hold whatever the current folder is."""

    def answer(self, engine: GarEngine, max_tiles: int | None) -> Answer:
        """Raises GarError: of a code of UNASKABLE where the model can't be asked this, else naming what is wrong."""


@dataclass(frozen=True)
class Job:
    """One question about one image of an annotation file."""

    key: str  # names it in the journal
    place: Place
    image: Path
    size: tuple[int, int]  # of the image: width, height in pixels
    segmentations: tuple[tuple[str, Any], ...]  # (key in the file, checked segmentation), <Prompt0> first
    ask: Callable[[EncodedFrame], Answer]
    image_key: str = "image"  # where the image stands in the item

    def anywhere(self) -> Job:
        """See `Task`."""
        return replace(self, image=self.image.absolute())

    def answer(self, engine: GarEngine, max_tiles: int | None) -> Answer:
        """See `Task`."""
        check_prompts(len(self.segmentations), self.prompts(engine))
        image = load_picture(self.image, self.place.at(self.image_key))
        regions = [
            region_of(number, segmentation, self.size, self.place.at(key))
            for number, (key, segmentation) in enumerate(self.segmentations)
        ]
        with told_where(self.place):
            return self.ask(self.encode(engine, image, regions, max_tiles))

    def prompts(self, engine: GarEngine) -> int:
        """Number of regions that can be asked about at once."""
        return engine.prompts.max_regions

    def encode(
        self, engine: GarEngine, image: NDArray[np.uint8], regions: Sequence[Region], max_tiles: int | None
    ) -> EncodedFrame:
        """The encoded frame of an RGB image (H, W, 3) uint8 and its regions, which is asked. Raises GarError."""
        return engine.encode(image, regions, max_tiles)


def manifest_of(model: Path) -> Manifest:
    """The manifest alone, before the model's files are read. Raises GarError BAD_MODEL."""
    if not (model / MANIFEST).is_file():
        return ModelDir.open(model).manifest  # says what is wrong with the folder
    try:
        return Manifest.from_json((model / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GarError(ErrorCode.BAD_MODEL, f"'{model / MANIFEST}' can't be read: {error}") from error


def run_settings(args: argparse.Namespace, data: Path, **more: Any) -> Record:
    """What must be the same for a run to be continued: the contents of annotations and model, not their places.

    Raises GarError INVALID_REQUEST or BAD_MODEL.
    """
    manifest = manifest_of(args.model)
    if args.max_tiles is not None and args.max_tiles > manifest.tiles.max_tiles:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected --max-tiles of at most {manifest.tiles.max_tiles}, the model's, got {args.max_tiles}",
        )
    return {
        "data_sha256": sha256_of(data),
        "manifest_sha256": sha256_of(args.model / MANIFEST),
        "max_tiles": args.max_tiles,
        "max_tokens": args.max_tokens,
        **more,
    }


def run_jobs(
    args: argparse.Namespace, jobs: Sequence[Task], settings: Record, bad: BadItems | None = None
) -> dict[str, Record]:
    """Answers what is not answered yet; all records by key, also those of an earlier run with a larger --limit.

    bad: takes the items whose data turn out to be wrong, and has those that were found before; None to stop at one.
    Raises GarError; KeyboardInterrupt after saying how to continue. What was answered before is kept in both cases.
    """
    require_pycocotools()
    path = args.out.with_name(args.out.name + ".jsonl")
    if args.out.exists() and not path.exists():
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"'{args.out}' exists, but not '{path}' of the run that wrote it: choose another --out",
        )
    with Journal(path, settings) as journal:
        missing = [job for job in jobs if job.key not in journal.records]
        if missing:
            done = len(jobs) - len(missing)
            if done:
                print(f"continuing: {done} of {len(jobs)} items are answered in '{path}'", file=sys.stderr)
            try:
                with _answering(args, missing) as answers:
                    for job, record in progress(answers, done, len(jobs)):
                        with nullcontext() if bad is None else bad.skipping(job.key):
                            journal.add(job.key, _checked(record))
            except KeyboardInterrupt:
                print(
                    f"interrupted: {sum(job.key in journal.records for job in jobs)} of {len(jobs)} items are answered "
                    f"in '{path}'; the same command continues",
                    file=sys.stderr,
                )
                raise
        elif jobs:
            print(f"all {len(jobs)} items were answered before", file=sys.stderr)
        records = {**(bad.records if bad else {}), **journal.records}
        # On Ray they are answered in another order each time.
        return {job.key: records[job.key] for job in jobs} | records


@contextmanager
def _answering(args: argparse.Namespace, jobs: Sequence[Task]) -> Iterator[Iterator[tuple[Task, Record | WrongData]]]:
    """Gives each job with its record, as they are answered. Raises GarError."""
    cluster = cluster_of(args)
    if cluster is not None:
        jobs = [job.anywhere() for job in jobs]
    options, max_tiles = worker_options(args, cluster), args.max_tiles

    def open_worker() -> Worker[Task, Record | WrongData]:
        engine = open_engine(options)
        return lambda job, tick: _attempted(engine, job, max_tiles)

    def answered_jobs(
        results: Iterator[tuple[int, Record | WrongData | Lost]],
    ) -> Iterator[tuple[Task, Record | WrongData]]:
        for index, record in results:
            if isinstance(record, Lost):
                raise jobs[index].place.error(record.reason, ErrorCode.INTERNAL_ERROR)
            yield jobs[index], record

    with working(open_worker, jobs, cluster) as results:
        yield answered_jobs(results)


def _attempted(engine: GarEngine, job: Task, max_tiles: int | None) -> Record | WrongData:
    """As `answered`; what is wrong with the item's data is returned, for whoever may be in another process."""
    try:
        return answered(engine, job, max_tiles)
    except GarError as error:
        return WrongData.of(error)


def _checked(record: Record | WrongData) -> Record:
    if isinstance(record, WrongData):
        raise GarError(record.code, record.message)
    return record


def answered(engine: GarEngine, job: Task, max_tiles: int | None) -> Record:
    """The record of one item; `unanswered` tells why the model can't be asked, and is empty when it was.

    Raises GarError naming the item when its data are wrong.
    """
    start = time.perf_counter()
    try:
        answer = job.answer(engine, max_tiles)
    except GarError as error:
        if error.code in UNASKABLE:
            return unanswered(error)
        raise
    return {
        "output": answer.text,
        "unanswered": "",
        "complete": answer.complete,
        "confidence": round(answer.confidence, 4),
        "prompt_tokens": answer.prompt_tokens,
        "generated_tokens": answer.generated_tokens,
        "provider": engine.provider,
        "seconds": round(time.perf_counter() - start, 3),
    }


@contextmanager
def told_where(place: Place) -> Iterator[None]:
    """Says in errors of the engine which item they are about, but for those of UNASKABLE."""
    try:
        yield
    except GarError as error:
        if error.code in UNASKABLE:
            raise
        raise place.error(error.message, error.code) from error


def check_prompts(regions: int, limit: int) -> None:
    """Raises GarError TOO_MANY_REGIONS for a question about more regions than `limit`, the model's prompts."""
    if regions > limit:
        raise GarError(ErrorCode.TOO_MANY_REGIONS, f"{regions} regions, the model has {limit} prompts")


def region_of(number: int, segmentation: Any, size: tuple[int, int], place: Place) -> Region:
    """The region of <Prompt`number`>, from a checked segmentation of an image of this size (width, height).

    Raises GarError EMPTY_MASK.
    """
    mask = decode(segmentation, size)
    with told_where(place):
        return Region.from_mask(f"Prompt{number}", mask)


def summary(records: Sequence[Record]) -> str:
    """How many items were answered, and why the others weren't, for the end of a run."""
    reasons = [record["unanswered"] for record in records if record["unanswered"]]
    lines = [f"answered: {len(records) - len(reasons)} of {len(records)} items"]
    for code in sorted({reason.partition(":")[0] for reason in reasons}):
        same = [reason for reason in reasons if reason.startswith(f"{code}:")]
        lines.append(f"unanswered: {len(same)}, {code}, such as: {same[0].partition(': ')[2]}")
    cut = sum(record.get("complete") is False for record in records)
    if cut:
        lines.append(f"cut at --max-tokens: {cut} answers")
    return "\n".join(lines)
