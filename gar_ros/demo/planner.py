# SPDX-License-Identifier: Apache-2.0
"""A small planner: asks the GAR node about the simulated tabletop and compares the answers with the truth."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CameraInfo, Image

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_rgb
from gar_ros.messages.regions import region_of
from gar_ros.msg import Answer
from gar_ros.region import Region
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.timeline import DEMO_SEED, Timeline
from gar_ros.sim.truth import SceneTruth, scene_truth
from gar_ros.srv import ListRegions

# What gar-tiny answers right in more than nine cases of ten (its card), of one line each.
KINDS = (
    "colour", "shape", "size", "finish", "is_colour", "is_shape", "is_size", "left_of", "right_of", "in_front",
    "behind", "on_top", "inside", "same_colour", "larger", "larger_than", "nearer", "nearer_than", "which_is",
    "which_not", "further_left", "further_right", "closest", "word_choice",
)  # fmt: skip
QUESTIONS_PER_IMAGE = 2  # the second finds image and regions already encoded
OVERLAY_SECONDS = 10.0
DESCRIPTION_TOKENS = 24
INTERRUPTED = 130  # as shells report Ctrl-C
_ROW = "{:>3}  {:<58}{:<12}{:<11}{:>6}  {:<11}{:<7}{:>8}"


Value = TypeVar("Value", int, float, str)


@dataclass
class Score:
    """asked: also the calls that failed."""

    asked: int = 0
    answered: int = 0
    right: int = 0


@dataclass(frozen=True, eq=False)
class Look:
    """An image as the GAR node lists it, and the simulator's truth about it."""

    listed: ListRegions.Response
    truth: SceneTruth

    @property
    def stamp(self) -> Time:
        return self.listed.header.stamp


class DemoPlanner(Node):
    """All it knows of the world comes from the GAR node; the seed only serves to judge the answers."""

    def __init__(self) -> None:
        super().__init__("demo_planner")
        seed = self._parameter("seed", DEMO_SEED, "of the camera's scene")
        self.questions = self._parameter("questions", 10, "how many to ask")
        self.required = self._parameter("required", 0.0, "fraction of the questions that must be answered right, 0..1")
        self.wait = self._parameter("wait", 60.0, "seconds within which the GAR node must serve")
        self.overlay = self._parameter("overlay", "", "PNG file for the overlay picture; empty: none")
        self._client = RegionClient(self)
        self._timeline = Timeline(seed)
        self._rng = np.random.default_rng(seed)
        self._camera: CameraInfo | None = None
        self._picture: Image | None = None
        self.create_subscription(CameraInfo, "camera_info", self._keep_camera, qos_profile_sensor_data)
        if self.overlay:
            self.create_subscription(Image, "gar/overlay", self._keep_picture, QoSProfile(depth=1))

    def run(self) -> bool:
        """Asks everything; whether all calls were answered and enough of the answers were right. Raises GarError."""
        self._wait_for_node()
        score = self._ask_all()
        complete = self._describe_one() and score.answered == score.asked
        if self.overlay:
            complete = self._save_picture() and complete
        failed = score.asked - score.answered
        say(f"{score.right} of {score.asked} right, {failed} calls failed; required {self.required:.0%}")
        return complete and score.right >= self.required * score.asked

    def _wait_for_node(self) -> None:
        deadline, said = time.monotonic() + self.wait, ""
        while True:
            try:
                self._look(timeout=1.0)
                return
            except GarError as error:
                if time.monotonic() > deadline:
                    raise
                if error.code.name != said:
                    say(f"waiting for the GAR node: {failure(error)}")
                said = error.code.name
            rclpy.spin_once(self, timeout_sec=0.2)

    def _ask_all(self) -> Score:
        """Asks about one, two and three regions in turn, printing a line for each question."""
        score = Score()
        say(_ROW.format("", "question", "regions", "answer", "prob.", "truth", "", "latency"))
        for turn in range(2 * self.questions):
            count = min(QUESTIONS_PER_IMAGE, self.questions - score.asked)
            if count == 0:
                break
            try:
                look = self._look()
            except GarError as error:
                score.asked += 1
                say(f"{score.asked:>3}  {failure(error)}")
                continue
            for question in draw_questions(look.truth, 1 + turn % 3, count, self._rng):
                score.asked += 1
                try:
                    answer = self._ask(question, look.stamp)
                except GarError as error:
                    say(f"{score.asked:>3}  {failure(error)}")
                    continue
                score.answered += 1
                score.right += answer.text == question.answer
                say(table_line(score.asked, question, answer))
        return score

    def _look(self, timeout: float = 5.0) -> Look:
        """The newest image's regions with their truth: poses from seed and stamp, visibility from the masks."""
        listed = self._client.list_regions(with_masks=True, timeout=timeout)
        if self._camera is None:
            raise GarError(ErrorCode.NO_FRAME, f"no message on {self.resolve_topic_name('camera_info')}")
        stamp, size = stamp_ns(listed.header.stamp), (self._camera.width, self._camera.height)
        labels = label_image([region_of(region, size, stamp) for region in listed.regions], size)
        return Look(listed, scene_truth(self._timeline.at(stamp), labels))

    def _ask(self, question: Question, stamp: Time) -> Answer:
        """About the image of `stamp`, whatever came since: only so is the truth exact."""
        ids = [region_id(index) for index in question.regions]
        return self._client.query(question.text, ids, choices=question.choices, stamp=stamp)

    def _describe_one(self) -> bool:
        """Asks for the description of one region; False when the call failed."""
        try:
            look = self._look()
            (question,) = draw_questions(look.truth, 1, 1, self._rng, ("caption",))
            (answer,) = self._client.describe(
                [region_id(question.regions[0])], stamp=look.stamp, max_tokens=DESCRIPTION_TOKENS
            )
        except GarError as error:
            say(f"description: {failure(error)}")
            return False
        say(f"description of region {answer.region_ids[0]}: {answer.text!r}; truth: {question.answer!r}")
        return True

    def _save_picture(self) -> bool:
        """Writes the first overlay of an image taken after this call; False when none comes in time."""
        now, deadline = self.get_clock().now().nanoseconds, time.monotonic() + OVERLAY_SECONDS
        while self._picture is None or stamp_ns(self._picture.header.stamp) <= now:
            if time.monotonic() > deadline:
                say(f"no overlay picture of a new image came within {OVERLAY_SECONDS:g} s")
                return False
            rclpy.spin_once(self, timeout_sec=0.2)
        _, png = cv2.imencode(".png", cv2.cvtColor(image_rgb(self._picture), cv2.COLOR_RGB2BGR))
        Path(self.overlay).write_bytes(png.tobytes())
        say(f"overlay picture written to {self.overlay}")
        return True

    def _keep_camera(self, info: CameraInfo) -> None:
        self._camera = info

    def _keep_picture(self, picture: Image) -> None:
        self._picture = picture

    def _parameter(self, name: str, default: Value, meaning: str) -> Value:
        descriptor = ParameterDescriptor(description=meaning, read_only=True)
        value: Value = self.declare_parameter(name, default, descriptor).value
        return value


def draw_questions(
    truth: SceneTruth, regions: int, count: int, rng: np.random.Generator, kinds: Sequence[str] = KINDS
) -> list[Question]:
    """`count` questions about `regions` objects of the picture, or about fewer where not so many can be asked about."""
    for number in range(regions, 0, -1):
        questions = questions_for(truth, pick_regions(truth, number, rng), rng, count, kinds)
        if questions:
            return questions
    return []


def region_id(index: int) -> str:
    """Id of an object of the scene: its value in the camera's label image."""
    return str(index + 1)


def label_image(regions: Sequence[Region], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The label image (H, W) uint8 that has these regions. size: (width, height)."""
    labels = np.zeros((size[1], size[0]), np.uint8)
    for region in regions:
        labels[region.mask] = int(region.id)
    return labels


def table_line(number: int, question: Question, answer: Answer) -> str:
    """One line of the table."""
    latency = answer.latency.sec + answer.latency.nanosec * 1e-9
    return _ROW.format(
        number,
        question.text,
        " ".join(answer.region_ids),
        answer.text,
        f"{answer.confidence:.2f}",
        question.answer,
        "right" if answer.text == question.answer else "wrong",
        f"{1e3 * latency:.0f} ms",
    )


def failure(error: GarError) -> str:
    """The error in one line."""
    return f"{error.code.name}: {error.message}"


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)


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
