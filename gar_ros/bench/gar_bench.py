# SPDX-License-Identifier: Apache-2.0
"""`gar bench gar-bench`: GAR-Bench's questions answered, its captions written, in the released format."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from gar_ros.bench.as_released import ReleasedJob
from gar_ros.bench.files import write_whole
from gar_ros.bench.gar_items import RELEASED_FILES, Item, annotation_file, read_items, unique
from gar_ros.bench.harness import Job, manifest_of, run_jobs, run_settings, summary
from gar_ros.bench.journal import Record
from gar_ros.bench.options import add_run_arguments
from gar_ros.bench.score import scored, table
from gar_ros.engine.encoded_frame import Answer, EncodedFrame

_MAX_TOKENS = {"vqa": 32, "caption-simple": 1024, "caption-detailed": 1024}
"""Task -> default limit. Released: 1024 for all; an answer of 32 tokens is no letter, so the score is the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench gar-bench`."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR_OR_JSON",
        help="annotations in the released format, or their folder; images are relative to it",
    )
    parser.add_argument("--task", choices=RELEASED_FILES, default="vqa", help="(default: %(default)s)")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--by-likelihood",
        action="store_true",
        help="vqa: answer with the likeliest of the choices' letters, not with the released evaluation's greedy text",
    )
    ways.add_argument(
        "--as-released",
        action="store_true",
        help="ask with the released evaluation's oddities, so that its table can be compared item by item: regions "
        "beyond the model's prompts, one box for all regions, two start tokens",
    )
    add_run_arguments(parser, "32 for vqa, 1024 for captions")


def run(args: argparse.Namespace) -> int:
    """Writes the predictions and prints what was answered, for vqa the score as well. Raises GarError."""
    data = annotation_file(args.data, args.task)
    items = read_items(data, args.task)
    if args.task == "vqa":
        unique(items)
    args.max_tokens = args.max_tokens or _MAX_TOKENS[args.task]
    by_likelihood = args.by_likelihood and args.task == "vqa"
    jobs = [_job(index, item, args, by_likelihood) for index, item in enumerate(items[: args.limit])]
    settings = run_settings(args, data, benchmark="gar-bench", task=args.task, by_likelihood=by_likelihood)
    if args.as_released:  # a run that was begun before there was this option goes on without
        settings["as_released"] = True
    records = run_jobs(args, jobs, settings)
    predictions = [_prediction(item, records[str(index)]) for index, item in enumerate(items) if str(index) in records]
    write_whole(args.out, json.dumps(predictions, ensure_ascii=False, indent=1) + "\n")
    print(f"{summary(list(records.values()))}\npredictions: '{args.out}'")
    if args.task == "vqa":
        prompts = len(manifest_of(args.model).tokens.prompts)
        print(f"\n{table(scored(args.out, prompts=prompts))}")
    return 0


def _job(index: int, item: Item, args: argparse.Namespace, by_likelihood: bool) -> Job:
    letters = item.letters() if by_likelihood else []

    def ask(frame: EncodedFrame) -> Answer:
        return frame.ask(item.text(args.task), letters, args.max_tokens)

    masks = tuple((f"mask_rles[{number}]", rle) for number, rle in enumerate(item.masks))
    job = partial(ReleasedJob, model=args.model) if args.as_released else Job
    return job(str(index), item.place, item.path, item.check_image(), masks, ask)


def _prediction(item: Item, record: Record) -> Record:
    """As released; `unanswered` is there only where the model could not be asked, with an empty output."""
    reason = {"unanswered": record["unanswered"]} if record["unanswered"] else {}
    return {**item.source, "model_output": record["output"], **reason}
