# SPDX-License-Identifier: Apache-2.0
"""From a request to its answer: parse, choose image and regions, encode, ask, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import Answer, EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.frame import Frame
from gar_ros.geometry.extent import Extent
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.dialogues import NEW, DialogueMemory
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.region import Region
from gar_ros.serving.frame_choice import Chosen, FrameChoice
from gar_ros.serving.requests import (
    SENDING_SECONDS,
    Limits,
    Query,
    Request,
    check_continuation,
    check_texts,
    check_video,
    limits_of,
)
from gar_ros.serving.worker import Job, Worker
from gar_ros.settings import Settings


@dataclass(frozen=True)
class Listing:
    """The regions of an image that can be asked about.

    age_ns: time from the image's stamp to now, nanoseconds. regions: each with its place in space.
    """

    frame: Frame
    age_ns: int
    regions: tuple[tuple[Region, Extent], ...]


class Server:
    """Answers requests from what is remembered. Thread-safe; the model's work is done in the worker's thread."""

    def __init__(
        self,
        engine: GarEngine,
        choice: FrameChoice,
        encoded: EncodedMemory,
        depth: DepthMemory,
        worker: Worker,
        settings: Callable[[], Settings],
    ) -> None:
        """settings: returns the current parameters."""
        self._engine, self._choice, self._encoded = engine, choice, encoded
        self._depth, self._worker, self._settings = depth, worker, settings
        self._dialogues = DialogueMemory(settings().dialogue.dialogues_kept, settings().dialogue.expire_after)
        self._budget = encoded.budget
        if self._budget is not None:
            self._budget.add(self._dialogues)

    def query(self, query: Query) -> AnswerRecord:
        """The answer to a question; waits for it. Raises GarError as `begin` does, or what stopped the model."""
        return self.begin(query).result()

    def begin(self, query: Query) -> Job[str, AnswerRecord]:
        """The queued job of a question: its items are what each token adds to a free text, its result is the answer.

        Raises GarError at once when the request can't be answered or the queue is full.
        """
        arrival_ns, limits = time.monotonic_ns(), self._limits(query)
        check_texts(query)
        if query.dialogue not in ("", NEW):
            return self._next_turn(query, limits, arrival_ns)
        check_video(query, self._engine.prompts.max_regions)
        count = len(query.region_ids) + len(query.ad_hoc)
        question = self._engine.parse(
            query.question, query.choices, count, limits.max_tokens, video=query.keyframes > 1
        )
        requested = self._choice.choose(query)  # before queueing, so that impossible requests fail at once

        def work(raise_if_cancelled: CancelCheck) -> Generator[str, None, AnswerRecord]:
            chosen = self._choice.renew(requested)
            self._depth.surface(chosen.frame)  # counts as used from now on, so it is still there when the answer is
            encoded = self._encode(chosen, limits, raise_if_cancelled)
            conversation = yield from encoded.stream(question, limits.max_tokens, raise_if_cancelled)
            places = self._places(chosen, chosen.regions, arrival_ns, limits, raise_if_cancelled)
            record = self._record(chosen, chosen.regions, places, question, conversation.answer, arrival_ns)
            if query.dialogue:
                record = self._dialogues.begin(encoded.without_image(), conversation, record, count)
            self._keep_within_budget()
            return record

        return self._worker.stream(work, limits.timeout, query.caller)

    def describe(self, request: Request) -> Job[AnswerRecord, None]:
        """The queued job of a description of each region: its items are the answers, in the order of the regions.

        Raises GarError as `begin` does.
        """
        arrival_ns, limits = time.monotonic_ns(), self._limits(request)
        question = self._engine.parse(None, (), 1, limits.max_tokens)
        requested = self._choice.choose(request)

        def work(raise_if_cancelled: CancelCheck) -> Generator[AnswerRecord, None, None]:
            chosen = self._choice.renew(requested)
            self._depth.surface(chosen.frame)
            for region in chosen.regions:
                encoded = self._encoded.get(chosen.frame, [region], limits.max_tiles, raise_if_cancelled)
                answer = encoded.ask(question, max_tokens=limits.max_tokens, raise_if_cancelled=raise_if_cancelled)
                places = self._places(chosen, (region,), arrival_ns, limits, raise_if_cancelled)
                yield self._record(chosen, (region,), places, question, answer, arrival_ns)

        return self._worker.stream(work, limits.timeout, request.caller)

    def listing(self, stamp_ns: int) -> Listing:
        """The regions of the image of this stamp in nanoseconds; 0 for the newest image.

        Raises GarError as `FrameChoice.choose` does.
        """
        chosen = self._choice.choose(Request(stamp_ns=stamp_ns))
        places = self._depth.extents(chosen.frame, chosen.regions)
        return Listing(chosen.frame, chosen.age_ns, tuple(zip(chosen.regions, places, strict=True)))

    def _next_turn(self, query: Query, limits: Limits, arrival_ns: int) -> Job[str, AnswerRecord]:
        """The queued job of a further question of a conversation, about the image and regions of the first one."""
        check_continuation(query)
        count = self._dialogues.get(query.dialogue).prompts
        question = self._engine.parse(query.question, query.choices, count, limits.max_tokens, turn=True)

        def work(raise_if_cancelled: CancelCheck) -> Generator[str, None, AnswerRecord]:
            dialogue = self._dialogues.get(query.dialogue)  # read again: another turn may have ended meanwhile
            conversation = yield from dialogue.encoded.stream(
                question, limits.max_tokens, raise_if_cancelled, after=dialogue.conversation
            )
            record = replace(
                dialogue.record,
                answer=conversation.answer,
                question=question.text,
                choices=question.choices,
                age_ns=self._choice.age_ns(dialogue.record.stamp_ns),
                latency_ns=time.monotonic_ns() - arrival_ns,
            )
            self._dialogues.add_turn(query.dialogue, conversation, record)
            self._keep_within_budget()
            return record

        return self._worker.stream(work, limits.timeout, query.caller)

    def _keep_within_budget(self) -> None:
        if self._budget is not None:
            self._budget.enforce()

    def _limits(self, request: Request) -> Limits:
        return limits_of(request, self._settings(), self._engine.manifest.tiles.max_tiles)

    def _encode(self, chosen: Chosen, limits: Limits, raise_if_cancelled: CancelCheck) -> EncodedFrame:
        if chosen.video:
            images = [(frame.image, region) for frame, region in chosen.video]
            return self._engine.encode_video(images, raise_if_cancelled)
        return self._encoded.get(chosen.frame, chosen.regions, limits.max_tiles, raise_if_cancelled)

    def _places(
        self,
        chosen: Chosen,
        regions: Sequence[Region],
        arrival_ns: int,
        limits: Limits,
        raise_if_cancelled: CancelCheck,
    ) -> tuple[Extent, ...]:
        """Where regions are in space. What they wait for must leave time to send the answer."""
        latest = arrival_ns / 1e9 + limits.timeout - SENDING_SECONDS
        return self._depth.extents(chosen.frame, regions, latest, raise_if_cancelled)

    def _record(
        self,
        chosen: Chosen,
        regions: Sequence[Region],
        places: tuple[Extent, ...],
        question: Question,
        answer: Answer,
        arrival_ns: int,
    ) -> AnswerRecord:
        return AnswerRecord(
            answer=answer,
            question=question.text,
            region_ids=tuple(region.id for region in regions),
            choices=question.choices,
            stamp_ns=chosen.frame.stamp_ns,
            frame_id=chosen.frame.frame_id,
            age_ns=chosen.age_ns,
            latency_ns=time.monotonic_ns() - arrival_ns,
            extents=places,
            stamps_ns=tuple(frame.stamp_ns for frame, _ in chosen.video),
        )
