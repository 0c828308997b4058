# SPDX-License-Identifier: Apache-2.0
"""What exists between configure and cleanup, and what exists between activate and deactivate."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import Engines
from gar_ros.errors import ErrorCode, GarError, GpuLostError
from gar_ros.memory.budget import MemoryBudget
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.memory.tracks import Tracker, TrackMemory
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.bond import make_bond
from gar_ros.node.endpoints import ANSWERS
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.depth import TROUBLE, DepthInputs
from gar_ros.node.inputs.images_and_regions import Inputs
from gar_ros.node.inputs.tf import make_poses
from gar_ros.node.outputs.answer_topic import AnswerTopic
from gar_ros.node.outputs.graph_topic import GraphTopic
from gar_ros.node.outputs.overlay import OverlayTopic
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.outputs.space import SpaceTopics
from gar_ros.node.outputs.track_topic import TrackTopic
from gar_ros.node.timers import every
from gar_ros.serving.find import Finder
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.keyframer import CHECKS_PER_SECOND, Keyframer
from gar_ros.serving.scene_graph import Grapher
from gar_ros.serving.server import Server
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings


class Components:
    """Model, memory and everything that uses them, until the lifetime ends."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Callable[[], Settings],
        lifetime: ExitStack,
        on_lost: Callable[[GpuLostError], object],
    ) -> None:
        """settings: the parameters as they are now. What is made here ends with `lifetime`, which waits for the model's
        next check. on_lost: called in the model's thread when the GPU is lost. Raises GarError for a model, parameter
        or QoS override that can't be used.
        """
        self.settings = now = settings()
        engines = Engines(Path(now.runtime.engines) if now.runtime.engines else None, now.runtime.build_engines)
        model = now.model or default_model_dir()
        runtime, max_memory = now.runtime, now.request.max_memory * 2**20
        engine = GarEngine.open(
            model, runtime.provider, runtime.threads, runtime.allow_fallback, engines, max_memory=max_memory
        )
        gpu_is_lost = Event()
        lifetime.callback(_close, engine, gpu_is_lost)
        self.model_name, self.provider = engine.manifest.name, engine.provider
        self.notice = engine.manifest.notice
        clock = node.get_clock()
        self.frames = FrameMemory(now.memory.frames_kept, now.past.images_kept, round(1e9 / now.past.rate))
        self.tracks = TrackMemory(
            _tracker(now),
            now.tracking.confirm_after,
            round(now.tracking.lost_after * 1e9),
            now.tracking.tracks_kept,
            now.tracking.images_kept,
        )
        poses = make_poses(node, now.depth.target_frame, lifetime)
        self.depth = DepthMemory(
            now.depth.images_kept, round(now.depth.slop * 1e9), poses.find, now.depth.max_wait, *node.doors.of(TROUBLE)
        )
        self.bond = make_bond(now.bond.heartbeat_period)
        self.answers = AnswerTopic(node, now.memory.answers_kept, lifetime)
        space = SpaceTopics(node, settings, self.frames, self.depth, self.answers.captions, lifetime)

        def lost(error: GpuLostError) -> None:
            gpu_is_lost.set()
            on_lost(error)

        self.worker = Worker(now.request.queue_size, *node.doors.of("worker of the model"), lost)
        lifetime.callback(self.worker.close, GarError(ErrorCode.CANCELLED, "the node was cleaned up"))
        self.keyframer = self._keyframer(engine, settings)
        stand_in = self.keyframer.instead_of if self.keyframer else None
        choice = FrameChoice(self.frames, self.tracks, settings, lambda: int(clock.now().nanoseconds), stand_in)
        keyframes = self.keyframer.keyframes if self.keyframer else None
        self.budget = MemoryBudget(now.memory.max_memory * 2**20)
        self.budget.add(engine.encoder)  # the first to forget: encoding a tile again is the least that can be lost
        encoded = EncodedMemory(engine, now.memory.encoded_kept, keyframes, self.budget)
        engine.on_full(self.budget.forget_most)
        self.server = Server(engine, choice, encoded, self.depth, self.worker, settings)
        self.grapher = Grapher(engine, choice, encoded, self.worker, settings)
        self.finder = Finder(engine, choice, encoded, self.depth, self.worker, settings)
        self.outputs: tuple[PeriodicOutput, ...] = (
            TrackTopic(node, self.tracks, lifetime),
            OverlayTopic(node, settings, self.frames, self.answers.captions, lifetime),
            space,
            GraphTopic(node, settings, self.frames, self.worker, self.grapher, space, lifetime),
        )

    def _keyframer(self, engine: GarEngine, settings: Callable[[], Settings]) -> Keyframer | None:
        now = self.settings
        if now.features.mode == "exact":
            return None
        bounds = Bounds(now.features.max_per_region, now.features.max_memory * 2**20, round(now.features.max_age * 1e9))
        most_tiles = engine.manifest.tiles.max_tiles
        return Keyframer(self.frames, KeyframeMemory(engine, bounds), self.worker, settings, most_tiles)

    def cancel(self) -> None:
        """Answers all requests that wait with CANCELLED, at once, and takes no more."""
        self.worker.pause(GarError(ErrorCode.CANCELLED, "the node was deactivated or shut down"))

    def health(self) -> dict[str, str]:
        """What diagnostics tell of it."""
        values = {
            "model": self.model_name,
            "provider": self.provider,
            "requests waiting": str(self.worker.waiting),
            "encoded memory (MiB)": f"{self.budget.used / 2**20:.1f} of {self.budget.limit >> 20}",
            "frames kept": str(len(self.frames.stamps(with_regions=False))),
            "tracks kept": str(self.tracks.usage.tracks),
            "track ids known": str(self.tracks.usage.ids),
        }
        if self.notice:
            values["about the model"] = self.notice
        if self.keyframer is not None:
            usage = self.keyframer.keyframes.usage
            kept = f"{usage.features} of {usage.tracks} regions in {usage.keyframes} keyframes"
            values |= {"features kept": kept, "features (MiB)": f"{usage.bytes / 2**20:.1f}"}
        return values


class Activity:
    """Inputs that fill the components' memory and requests that are served from it, until the lifetime ends."""

    def __init__(self, node: GuardedNode, components: Components, gate: Gate, lifetime: ExitStack) -> None:
        """What is made here ends with `lifetime`; requests that wait then are answered CANCELLED.

        Raises GarError INVALID_REQUEST for a QoS override that is no policy.
        """
        settings = components.settings
        self._inputs = Inputs(node, settings, components.frames, components.depth, components.tracks, lifetime)
        self._depth = DepthInputs(node, settings, components.depth, components.frames, lifetime)
        lifetime.callback(components.cancel)
        components.worker.accept()
        if components.keyframer is not None:
            every(node, 1 / CHECKS_PER_SECOND, components.keyframer.make_if_due, lifetime)
        for output in components.outputs:
            output.start(lifetime)
        on_answer = node.doors.guard(ANSWERS.name, components.answers.publish)  # its defects mustn't cost the reply
        tracks = components.tracks.tracks
        gate.open(Served(components.server, components.grapher, components.finder, tracks, on_answer), lifetime)
        components.bond.form(node, lifetime)

    def health(self) -> dict[str, str]:
        """What diagnostics tell of it."""
        inputs = self._inputs
        return {
            "images": str(inputs.images),
            "images dropped": str(inputs.dropped),
            "images without regions": str(max(inputs.images - inputs.pairs, 0)),
            "image callback p99 (ms)": f"{inputs.image_durations.p99() * 1e3:.1f}",
            "places in space": self._depth.health(),
        }

    def trouble(self) -> str:
        """Why no images with regions come in; empty when they do."""
        return self._inputs.trouble()


def _close(engine: GarEngine, gpu_is_lost: Event) -> None:
    """Asks nothing of a GPU that is lost: its libraries may hang or end the process before all callers are answered."""
    if not gpu_is_lost.is_set():
        engine.close()


def _tracker(settings: Settings) -> Tracker:
    """Raises GarError INVALID_REQUEST when the tracking library is not installed."""
    if settings.tracking.method == "detector":
        return DetectorIds(round(settings.tracking.lost_after * 1e9), settings.tracking.tracks_kept)
    try:
        from gar_ros.memory.similari import AssociatedIds  # only here: most detectors track by themselves
    except ImportError as error:
        message = f"tracking.method: expected the package similari-trackers-rs for 'similari', got {error}"
        raise GarError(ErrorCode.INVALID_REQUEST, message) from error
    return AssociatedIds(settings.tracking.min_overlap, settings.tracking.max_idle)
