# SPDX-License-Identifier: Apache-2.0
"""One bag after another, with one loaded model: each becomes a new bag, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gar_ros.bag.annotate import Asking, annotate
from gar_ros.bag.fetch import at_hand
from gar_ros.bag.files import BagReader, BagWriter, check_new
from gar_ros.bag.inputs import Inputs, Topics
from gar_ros.bag.plan import make_plan
from gar_ros.bag.summary import what_came_of_it, why_alone
from gar_ros.bag.table import BAG_TABLE, Rows
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import LEAVING, ErrorCode, GarError, GpuLostError, reason_of

Tick = Callable[[int], None]
"""Told how many images are done; it may raise KeyboardInterrupt to end the work."""


@dataclass(frozen=True)
class BagJob:
    """A bag to answer about. source: path or URL. out: folder of the new bag. name: of the new bag in tables."""

    source: str
    out: Path
    name: str


@dataclass(frozen=True)
class Task:
    """What is the same for all bags. slop_ns: as for `make_plan`. recover: answer what can be read of damaged bags.
    with_input: copy the bag's own messages. table: put a table of the answers into each new bag's folder."""

    topics: Topics
    asking: Asking
    slop_ns: int | None = None
    recover: bool = False
    with_input: bool = True
    table: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a bag. told: sentences about what was left out. failure: why there is no new bag, empty where there
    is one; code goes with it. whole: the bag could be read to its end."""

    images: int = 0
    answers: int = 0
    told: tuple[str, ...] = ()
    failure: str = ""
    code: ErrorCode = ErrorCode.OK
    whole: bool = True


class BagWorker:
    """Answers about bags; its model is loaded once, when it is first needed."""

    def __init__(self, task: Task, open_engine: Callable[[], GarEngine]) -> None:
        self.task, self._open_engine = task, open_engine
        self._loaded: tuple[GarEngine, list[Question]] | None = None

    def load(self) -> tuple[GarEngine, list[Question]]:
        """The model, and the questions as it reads them. Raises GarError."""
        if self._loaded is None:
            engine = self._open_engine()
            self._loaded = engine, self.task.asking.parse(engine)
        return self._loaded

    def __call__(self, job: BagJob, tick: Tick) -> Outcome:
        """As `answer`; whatever is wrong with a bag stands in its outcome. Raises GpuLostError."""
        try:
            return self.answer(job, tick)
        except (*LEAVING, GpuLostError):
            raise
        except GarError as error:
            return Outcome(failure=error.message, code=error.code)
        except BaseException as error:  # noqa: BLE001 whatever a bag does to a library, the next one is another
            return Outcome(failure=reason_of(error), code=ErrorCode.INTERNAL_ERROR)

    def answer(self, job: BagJob, tick: Tick, reading: Tick = lambda messages: None) -> Outcome:
        """Writes the new bag. reading: told how many messages are read, before any is answered about. Raises GarError
        where the bag can't be used, or where the model can't."""
        try:
            with at_hand(job.source) as path:
                try:
                    return self._answer(path, job, tick, reading)
                except GarError as error:  # names the copy of a bag from elsewhere
                    raise GarError(error.code, error.message.replace(str(path), job.source)) from error
        except OSError as error:
            what = f"'{job.source}' can't be answered about: {reason_of(error)}"
            raise GarError(ErrorCode.INVALID_REQUEST, what) from error

    def _answer(self, path: Path, job: BagJob, tick: Tick, reading: Tick) -> Outcome:
        task = self.task
        with BagReader(path, task.recover) as reader:
            types = reader.types()
            inputs = Inputs(task.topics.resolved(types), types)
            engine, questions = self.load()
            check_new(job.out)
            # All that will be copied is read now: damage should show before hours of answers are lost to it.
            read = reader.messages(None if task.with_input else inputs.kinds)
            plan = make_plan(read, inputs.kinds, task.slop_ns, inputs.together, reading)
            told = [*why_alone(plan, inputs, task.slop_ns)]
            told += [f"'{file}': {why}".replace(str(path), job.source) for file, why in reader.damage.items()]
            if not plan.due:
                what = f"no image on {task.topics.image} can be answered about; '{job.out}' is not written"
                return Outcome(told=tuple(told), failure=what, code=ErrorCode.OK, whole=not reader.damage)
            rows = Rows(job.name, task.topics.image) if task.table else None
            with BagWriter(job.out) as writer:
                count = annotate(
                    reader,
                    writer,
                    engine,
                    inputs,
                    plan,
                    task.asking,
                    questions,
                    task.with_input,
                    tick,
                    (lambda records: None) if rows is None else rows.add,
                )
                if rows is not None:
                    writer.add_file(BAG_TABLE, rows.parquet())
        told += what_came_of_it(count, writer.not_copied, task.asking.every_ns)
        return Outcome(count.images, count.answers, tuple(told), whole=not reader.damage)
