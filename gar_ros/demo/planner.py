# SPDX-License-Identifier: Apache-2.0
"""A small planner: asks the GAR node about the simulated tabletop, chapter by chapter, and compares with the truth."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import try_shutdown

from gar_ros.demo.asker import Asker, Look
from gar_ros.demo.film import Film
from gar_ros.demo.judge import RELATIONS, answer_row, free_row, graph_rows, order_row
from gar_ros.demo.processes import INTERRUPTED
from gar_ros.demo.questions import ATTRIBUTES, COMPARISONS, draw_question, holding_questions
from gar_ros.demo.report import Report, say
from gar_ros.demo.searches import draw_searches, search_row
from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.errors import GarError
from gar_ros.msg import Answer
from gar_ros.sim.questions import Question
from gar_ros.sim.timeline import DEMO_SEED

LISTED = 0.5
"""Least probability of the facts that are shown."""

RESPECTED = 0.2
"""Least probability of the facts that the pick order respects: to pick something later than necessary costs nothing."""

FILMED = (3, 2)
"""Number of relations of chapter 1 and of questions of chapter 2 in the film."""

EXPLANATION = "Numbers are region ids, in place of the questions' <Prompt0>, <Prompt1>, ..; truth is the simulator's."

Value = TypeVar("Value", int, float, str)


@dataclass
class Score:
    """asked, right: of the questions. failed: calls of any kind. verdicts: on everything else, by its name."""

    asked: int = 0
    right: int = 0
    failed: int = 0
    verdicts: dict[str, str] = field(default_factory=dict)


class DemoPlanner(Node):
    """Asks what a planner needs to know, in six chapters."""

    def __init__(self) -> None:
        super().__init__("demo_planner")
        seed = self._parameter("seed", DEMO_SEED, "of the camera's scene")
        self._questions = self._parameter("questions", 24, "how many to ask in the first two chapters")
        self._required = self._parameter("required", 0.0, "fraction of them that must be answered right, 0..1")
        self._wait = self._parameter("wait", 60.0, "seconds within which the GAR node must serve")
        width = self._parameter("width", 90, "of what is printed, characters")
        self._pictures = self._parameter("pictures", "", "folder for overlay.png, camera.png and masks; empty: none")
        self._film_file = self._parameter("film", "", "GIF file for a moving picture; empty: none")
        self._film = Film() if self._film_file else None
        self._asker = Asker(self, seed, pictures=bool(self._pictures or self._film_file))
        self._report = Report(width, self._film, self._asker.overlay)
        self._rng = np.random.default_rng(seed)
        self._score = Score()

    def run(self) -> bool:
        """Runs all chapters; whether all calls were answered and enough of the answers were right. Raises GarError."""
        self._wait_for_node()
        self._report.tell(EXPLANATION)
        if self._film is not None:
            self._film.open(self._asker.overlay())
        self._what_holds_what()
        self._attributes_and_comparisons()
        self._description()
        self._found_by_words()
        self._graph_and_order()
        if self._pictures:
            with self._counted():
                self._asker.save_pictures(Path(self._pictures))
        if self._film is not None:
            with self._counted():
                self._film.save(Path(self._film_file))
        return self._summary()

    def _wait_for_node(self) -> None:
        """Returns when the node answers about a fresh image, and tells why it doesn't yet. Raises GarError."""
        deadline, said = time.monotonic() + self._wait, ""
        while True:
            try:
                self._asker.look(timeout=1.0)
                return
            except GarError as error:
                if time.monotonic() > deadline:
                    raise
                if error.code.name != said:
                    self._report.tell(f"waiting for the GAR node: {failure(error)}")
                said = error.code.name
            rclpy.spin_once(self, timeout_sec=0.2)

    def _what_holds_what(self) -> None:
        """Chapter 1, all about one image, since its answers are put together."""
        self._report.open("1. What lies in or on what? That has to be picked first.")
        with self._counted():
            look = self._asker.look()
            asking = holding_questions(look.truth, look.regions)
            rows: list[Row] = []
            related: list[Question] = []
            try:
                question = next(asking)
                while self._score.asked < self._questions:
                    self._score.asked += 1
                    related += [question] if len(question.regions) == 2 else []
                    filmed = question in related[: FILMED[0]]
                    rows.append(self._ask(question, look, filmed))
                    question = asking.send(rows[-1].answer)
            except StopIteration as done:
                sure = min((row.probability or 0.0 for row in rows), default=None)
                row = free_row(look.ids, done.value, sure, look.truth)
                self._report.row(self._kept("what can be picked", row))

    def _attributes_and_comparisons(self) -> None:
        """Chapter 2, about one, two and three regions in turn, each time of the newest image."""
        if self._score.asked >= self._questions:
            return
        self._report.open("2. Attributes, comparisons and choices")
        used: list[str] = []
        while self._score.asked < self._questions:
            regions = 1 + len(used) % 3
            self._score.asked += 1
            with self._counted():
                look = self._asker.look()
                kinds = ATTRIBUTES if regions == 1 else COMPARISONS
                question = draw_question(look.truth, regions, kinds, self._rng, used)
                used.append(question.kind)
                self._ask(question, look, filmed=len(used) <= FILMED[1])

    def _description(self) -> None:
        """Chapter 3, about one region."""
        self._report.open("3. A description", answer=26)
        with self._counted():
            look = self._asker.look()
            question = draw_question(look.truth, 1, ("caption",), self._rng)
            answer = self._asker.describe(question, look)
            row = row_of(question, answer)
            self._report.row(self._kept("description", row))

    def _found_by_words(self) -> None:
        """Chapter 4, about one image."""
        self._report.open("4. Things found by words")
        with self._counted():
            look = self._asker.look()
            verdicts = []
            for search in draw_searches(look.truth, look.ids, self._rng):
                reply = self._asker.find(search.words, look)
                found = [(region.id, region.probability) for region in reply.regions]
                row = search_row(search, found, in_seconds(reply.latency))
                self._report.row(row)
                verdicts.append(row.verdict)
            self._score.verdicts["things found by words"] = tally(verdicts, (RIGHT, WRONG))

    def _graph_and_order(self) -> None:
        """Chapters 5 and 6, from one scene graph."""
        with self._counted():
            look = self._asker.look()
            graph = self._asker.scene_graph(tuple(RELATIONS), RESPECTED, look)
            effort = f"{graph.asked} questions in {in_seconds(graph.latency):.1f} s"
            self._report.open(f"5. The scene graph: {effort}", names=("fact", "graph"))
            listed = [fact for fact in graph.relations if fact.probability >= LISTED]
            rows = graph_rows(listed, look.ids, look.truth, LISTED)
            self._report.facts(rows)
            verdicts = [row.verdict for row in rows]
            self._score.verdicts["facts of the scene graph"] = tally(verdicts, (RIGHT, WRONG, MISSED))
            self._report.open("6. The order in which to pick everything up", answer=26)
            self._report.row(self._kept("pick order", order_row(look.ids, graph.relations, look.truth)))

    def _ask(self, question: Question, look: Look, filmed: bool) -> Row:
        """Asks one of the questions, judges and prints the answer. Raises GarError."""
        answer = self._asker.ask(question, look)
        row = row_of(question, answer)
        self._score.right += row.verdict == RIGHT
        self._report.row(row, filmed)
        return row

    def _kept(self, name: str, row: Row) -> Row:
        """The row, its verdict kept for the summary."""
        self._score.verdicts[name] = row.verdict
        return row

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """A call that fails is told and counted, and the demo goes on behind it."""
        try:
            yield
        except GarError as error:
            self._score.failed += 1
            self._report.tell(failure(error))

    def _summary(self) -> bool:
        """Prints the score; whether it is good enough."""
        score = self._score
        say("")
        counts = f"{score.right} of {score.asked} questions right ({self._required:.0%} required)"
        self._report.tell(f"Score: {counts}, {score.failed} calls failed")
        for name, verdict in score.verdicts.items():
            self._report.tell(f"  {name}: {verdict}")
        return score.failed == 0 and score.right >= self._required * score.asked

    def _parameter(self, name: str, default: Value, meaning: str) -> Value:
        descriptor = ParameterDescriptor(description=meaning, read_only=True)
        value: Value = self.declare_parameter(name, default, descriptor).value
        return value


def tally(verdicts: Sequence[str], names: Sequence[str]) -> str:
    """How many there are of each, as text."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[name]} {name}" for name in names)


def row_of(question: Question, answer: Answer) -> Row:
    """The answer beside its truth."""
    return answer_row(question, answer.region_ids, answer.text, answer.confidence, in_seconds(answer.latency))


def in_seconds(duration: Duration) -> float:
    """The duration as a number."""
    return float(duration.sec + 1e-9 * duration.nanosec)


def failure(error: GarError) -> str:
    """The error in one line."""
    return f"{error.code.name}: {error.message}"


def main() -> int:
    """Runs the planner once; 0 when all calls were answered and enough answers were right."""
    rclpy.init()
    try:
        return 0 if DemoPlanner().run() else 1
    except GarError as error:
        say(failure(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return INTERRUPTED
    finally:
        try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
