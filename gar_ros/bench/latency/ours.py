# SPDX-License-Identifier: Apache-2.0
"""Our side in a process of its own: an exported model, asked as the node asks it.

python -m gar_ros.bench.latency ours --model DIR --provider NAME --threads N --scene FILE
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.latency.scene import Scene
from gar_ros.bench.latency.work import (
    CHOICES,
    FURTHER,
    PREDICATES,
    QUESTION,
    Case,
    Work,
)
from gar_ros.bench.latency.worker import Recorder, serve, tell
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.external_data import external_files
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.engine.prompt import Question
from gar_ros.engine.runtime.select import open_runtime
from gar_ros.engine.steps import Steps
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, Sighting
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.region import Region
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.requests import MAX_TIMEOUT
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings

_STAMP_NS = 1_000_000_000
_NO_BOUND = 1 << 40


class Ours:
    """The steps of each kind of work on one engine."""

    def __init__(self, engine: GarEngine, scene: Scene, decoder_bytes: int) -> None:
        """engine: one whose answers don't end before they are cut, see `endless_engine`. decoder_bytes: see there."""
        self._engine, self._scene, self._decoder_bytes = engine, scene, decoder_bytes

    def do(self, work: Work, recorder: Recorder) -> None:
        """Does one piece of work on its frame."""
        image = self._scene.new_frame(work.frame)
        {"question": self._questions, "warm": self._warm, "descriptions": self._describe, "graph": self._graph}[
            work.case.kind
        ](work.case, image, recorder)

    def _questions(self, case: Case, image: NDArray[np.uint8], recorder: Recorder) -> None:
        """A first and a further question, one with choices, and one about other regions."""
        engine, scene = self._engine, self._scene
        regions, others = scene.regions(scene.asked(case.regions)), scene.regions(scene.others(case.regions))
        with recorder.step("first") as mark:
            frame = engine.encode(image, regions, case.tiles)
            mark()
            counts = self._ask(frame, QUESTION, case, mark)
        with recorder.step("further") as mark:
            self._ask(frame, FURTHER, case, mark)
        with recorder.step("choice"):
            frame.ask(engine.parse(FURTHER, CHOICES, case.regions))
        before = engine.encoder.encoded_tiles
        with recorder.step("others") as mark:
            other = engine.encode(image, others, case.tiles)
            mark()
            self._ask(other, QUESTION, case, mark)
        recorder.count(
            tiles=len(frame.features),
            other_tiles=engine.encoder.encoded_tiles - before,
            prompt_tokens=counts,
            decoder_bytes=self._decoder_bytes,
        )

    def _ask(self, frame: EncodedFrame, text: str, case: Case, mark: Callable[[], None]) -> int:
        """Has an answer of exactly the case's length generated, and gives the length of its prompt in tokens."""
        return self._stream(frame, self._engine.parse(text, (), case.regions, case.tokens), case.tokens, mark)

    def _stream(self, frame: EncodedFrame, question: Question, tokens: int, mark: Callable[[], None]) -> int:
        steps = Steps(frame.stream(question, tokens))
        for _ in steps:
            mark()
        answer = steps.result.answer
        if answer.generated_tokens != tokens:
            what = f"expected an answer of {tokens} tokens, the model has generated {answer.generated_tokens}"
            raise GarError(ErrorCode.INTERNAL_ERROR, what)
        return answer.prompt_tokens

    def _warm(self, case: Case, image: NDArray[np.uint8], recorder: Recorder) -> None:
        """Reads all weights once."""
        frame = self._engine.encode(image, self._scene.regions(self._scene.asked(case.regions)), case.tiles)
        self._ask(frame, QUESTION, case, lambda: None)

    def _describe(self, case: Case, image: NDArray[np.uint8], recorder: Recorder) -> None:
        """Describes all regions one after another, with features that they share, as the node's keyframes do."""
        engine = self._engine
        keyframes = KeyframeMemory(engine, Bounds(case.regions, _NO_BOUND, _NO_BOUND))
        frame = self._frame(image, case.regions)
        with recorder.step("all") as mark:
            for region in self._scene.regions(range(case.regions)):
                encoded = EncodedMemory(engine, 1, keyframes).get(frame, [region], case.tiles, never_cancelled)
                mark()
                self._stream(encoded, engine.parse(None, (), 1, case.tokens), case.tokens, lambda: None)
        recorder.count(answers=case.regions)

    def _graph(self, case: Case, image: NDArray[np.uint8], recorder: Recorder) -> None:
        """The scene graph of the frame, asked for as planners do."""
        settings = Settings.of({"request.max_tiles": case.tiles, "graph.max_pairs": case.regions**2})
        frames = FrameMemory(1)
        frames.add(self._frame(image, case.regions))
        choice = FrameChoice(frames, None, lambda: settings, lambda: _STAMP_NS)
        defects: list[BaseException] = []
        worker = Worker(1, defects.append)
        worker.accept()
        try:
            grapher = Grapher(self._engine, choice, EncodedMemory(self._engine, 4), worker, lambda: settings)
            with recorder.step("all"):
                graph = grapher.graph(GraphRequest(predicates=PREDICATES, timeout=MAX_TIMEOUT))
        finally:
            worker.close(GarError(ErrorCode.CANCELLED, "the measurement is over"))
        recorder.count(answers=graph.asked)

    def _frame(self, image: NDArray[np.uint8], regions: int) -> Frame:
        found = _Found(self._scene.regions(range(regions)))
        return Frame(_STAMP_NS, "camera", (image.shape[1], image.shape[0]), image.copy, found)


class _Found:
    """The regions of a frame, see RegionSource."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = {region.id: region for region in regions}

    def ids(self) -> tuple[str, ...]:
        return tuple(self._regions)

    def region(self, region_id: str) -> Region:
        return self._regions[region_id]

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name, box=region.box if boxes else None) for name, region in self._regions.items()]


def endless_engine(folder: Path, provider: str, threads: int) -> GarEngine:
    """The engine of a model folder, without end tokens: random and untaught models would end answers anywhere.

    Raises GarError BAD_MODEL, INVALID_REQUEST.
    """
    model = ModelDir.open(folder)
    endless = msgspec.structs.replace(model.manifest.tokens, eos=())
    model = dataclasses.replace(model, manifest=msgspec.structs.replace(model.manifest, tokens=endless))
    return GarEngine(model, open_runtime(model, provider, threads, allow_fallback=False))


def decoder_bytes(folder: Path) -> int:
    """Bytes of the decoder's weights, all of which one generated token reads."""
    return sum((folder / name).stat().st_size for name in (DECODER, *external_files(folder / DECODER)))


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--scene", type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        engine = endless_engine(args.model, args.provider, args.threads)
    except GarError as error:
        tell(sys.stdout, {"error": error.message})
        return 2
    serve(Ours(engine, Scene.read(args.scene), decoder_bytes(args.model)).do)
    return 0
