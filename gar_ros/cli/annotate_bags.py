# SPDX-License-Identifier: Apache-2.0
"""How `gar annotate` works through its bags and tells what came of them; with Ray or without, it is the same."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gar_ros.errors import ErrorCode, GarError
from gar_ros.fleet.cluster import Cluster
from gar_ros.fleet.work import Lost, working
from gar_ros.progress import advancing, now_and_then

if TYPE_CHECKING:  # both need ROS and rosbags, which not every machine has
    from gar_ros.bag.answering import BagJob, BagWorker, Outcome


def annotate_one(job: BagJob, worker: BagWorker, cluster: Cluster | None, table: Path | None) -> int:
    """One new bag; the exit code. Raises GarError where the bag or the model can't be used."""
    from gar_ros.bag.begun import tidy
    from gar_ros.bag.files import check_new

    show = now_and_then()
    if cluster is None:
        read = count(1)
        outcome = worker.answer(job, lambda done: show(f"{done} images"), lambda _: show(f"{next(read)} messages read"))
    else:
        check_new(job.out)
        try:
            with working(_opener(worker), [job], cluster, lambda done: show(f"{done} images")) as results:
                ((_, result),) = results
        finally:
            tidy([job])
        outcome = _outcome(result)
        if outcome.code:
            raise GarError(outcome.code, outcome.failure)
    _tell([*outcome.told, *filter(None, [outcome.failure])])
    if outcome.failure:
        return 1
    if table is not None:
        _write_table(table, [job], worker)
    print(f"{outcome.answers} answers about {outcome.images} images in {job.out}")
    return 0 if outcome.images and outcome.whole else 1


def annotate_many(
    jobs: Sequence[BagJob],
    worker: BagWorker,
    cluster: Cluster | None,
    out: Path,
    settings: dict[str, Any],
    table: Path | None,
) -> int:
    """New bags in the folder `out` for those that aren't there yet; the exit code. Raises GarError where the folder or
    the model can't be used, KeyboardInterrupt after saying how to continue."""
    from gar_ros.bag.begun import begin, missing, tidy

    begin(out, settings)
    due = missing(jobs)
    before = len(jobs) - len(due)
    if before:
        print(f"continuing: {before} of {len(jobs)} bags are in '{out}'", file=sys.stderr)
    outcomes: dict[int, Outcome] = {}
    try:
        if due:
            _work(due, worker, cluster, len(jobs), outcomes)
    except KeyboardInterrupt:
        there = len(jobs) - len(missing(jobs))
        _tell([f"interrupted: {there} of {len(jobs)} bags are in '{out}'; the same command continues"])
        raise
    finally:
        tidy(due)
    for index, outcome in sorted(outcomes.items()):
        failed = [f"not written: {outcome.failure}"] if outcome.failure else []
        _tell([f"{due[index].name}: {sentence}" for sentence in (*outcome.told, *failed)])
    written = [one for one in outcomes.values() if not one.failure]
    if table is not None:
        _write_table(table, [job for job in jobs if job.out.exists()], worker)
    images = sum(one.images for one in written)
    print(f"{sum(one.answers for one in written)} answers about {images} images in {len(written)} new bags in {out}")
    bad = len(outcomes) - len(written)
    if bad:
        print(f"{bad} of {len(jobs)} bags are not written; the same command tries them again")
    return 0 if not bad and all(one.images and one.whole for one in written) else 1


def _work(
    due: Sequence[BagJob], worker: BagWorker, cluster: Cluster | None, total: int, outcomes: dict[int, Outcome]
) -> None:
    """Fills `outcomes`, by the index in `due`."""
    start, current = 0.0, 0

    def note() -> str:
        images = current + sum(one.images for one in outcomes.values())
        return f"{images} images, {images / max(time.monotonic() - start, 1e-3):.2g} a second"

    def tick(images: int) -> None:
        nonlocal current
        current = images
        advance(0)

    with working(_opener(worker), due, cluster, tick) as results:
        start = time.monotonic()
        with advancing(total - len(due), total, "bag", note) as advance:
            for index, result in results:
                outcomes[index], current = _outcome(result), 0
                advance(1)


def _opener(worker: BagWorker) -> Callable[[], BagWorker]:
    def opened() -> BagWorker:
        worker.load()
        return worker

    return opened


def _outcome(result: Outcome | Lost) -> Outcome:
    from gar_ros.bag.answering import Outcome

    return Outcome(failure=result.reason, code=ErrorCode.INTERNAL_ERROR) if isinstance(result, Lost) else result


def _write_table(path: Path, jobs: Sequence[BagJob], worker: BagWorker) -> None:
    from gar_ros.bag.table import write_table

    rows = write_table(path, [(job.name, job.out) for job in jobs], worker.task.topics.image)
    print(f"{rows} rows in {path}")


def _tell(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        print(f"gar: {sentence}", file=sys.stderr)
