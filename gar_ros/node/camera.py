# SPDX-License-Identifier: Apache-2.0
"""What one camera has for itself: its memory, its topics and what is served about its images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.budget import MemoryBudget
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.memory.tracks import Tracker, TrackMemory
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.endpoints import ANSWERS, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.depth import TROUBLE, DepthInputs
from gar_ros.node.inputs.images_and_regions import Inputs
from gar_ros.node.inputs.tf import Poses
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


@dataclass(frozen=True)
class Model:
    """What all cameras share. budget: of everything that the model has computed and that is kept."""

    engine: GarEngine
    worker: Worker
    budget: MemoryBudget


class CameraParts:
    """Memory of one camera and everything that uses it, until the lifetime ends."""

    def __init__(
        self,
        node: GuardedNode,
        camera: Camera,
        model: Model,
        poses: Poses,
        settings: Callable[[], Settings],
        lifetime: ExitStack,
    ) -> None:
        """poses: of coordinate frames. settings: the parameters as they are now. The topics exist until `lifetime`
        ends. Raises GarError INVALID_REQUEST for a parameter or QoS override that can't be used."""
        self.camera, self.settings, self.worker = camera, settings(), model.worker
        now, engine, clock = self.settings, model.engine, node.get_clock()
        self.frames = FrameMemory(now.memory.frames_kept, now.past.images_kept, round(1e9 / now.past.rate))
        self.tracks = TrackMemory(
            _tracker(now),
            now.tracking.confirm_after,
            round(now.tracking.lost_after * 1e9),
            now.tracking.tracks_kept,
            now.tracking.images_kept,
        )
        self.depth = DepthMemory(
            now.depth.images_kept,
            round(now.depth.slop * 1e9),
            poses.find,
            now.depth.max_wait,
            *node.doors.of(camera.door(TROUBLE)),
        )
        self.answers = AnswerTopic(node, now.memory.answers_kept, lifetime, camera)
        space = SpaceTopics(node, settings, self.frames, self.depth, self.answers.captions, lifetime, camera)
        self.keyframer = self._keyframer(engine, settings)
        stand_in = self.keyframer.instead_of if self.keyframer else None
        choice = FrameChoice(self.frames, self.tracks, settings, lambda: int(clock.now().nanoseconds), stand_in)
        keyframes = self.keyframer.keyframes if self.keyframer else None
        encoded = EncodedMemory(engine, now.memory.encoded_kept, keyframes, model.budget)
        self.server = Server(engine, choice, encoded, self.depth, self.worker, settings)
        self.grapher = Grapher(engine, choice, encoded, self.worker, settings)
        self.finder = Finder(engine, choice, encoded, self.depth, self.worker, settings)
        self.outputs: tuple[PeriodicOutput, ...] = (
            TrackTopic(node, self.tracks, lifetime, camera),
            OverlayTopic(node, settings, self.frames, self.answers.captions, lifetime, camera),
            space,
            GraphTopic(node, settings, self.frames, self.worker, self.grapher, space, lifetime, camera),
        )

    def _keyframer(self, engine: GarEngine, settings: Callable[[], Settings]) -> Keyframer | None:
        now = self.settings
        if now.features.mode == "exact":
            return None
        bounds = Bounds(now.features.max_per_region, now.features.max_memory * 2**20, round(now.features.max_age * 1e9))
        most_tiles = engine.manifest.tiles.max_tiles
        keyframes = KeyframeMemory(engine, bounds)
        return Keyframer(self.frames, keyframes, self.worker, settings, most_tiles, self.camera.name)

    def health(self) -> dict[str, str]:
        """What diagnostics tell of it."""
        values = {
            "frames kept": str(len(self.frames.stamps(with_regions=False))),
            "tracks kept": str(self.tracks.usage.tracks),
            "track ids known": str(self.tracks.usage.ids),
        }
        if self.keyframer is not None:
            usage = self.keyframer.keyframes.usage
            kept = f"{usage.features} of {usage.tracks} regions in {usage.keyframes} keyframes"
            values |= {"features kept": kept, "features (MiB)": f"{usage.bytes / 2**20:.1f}"}
        return values


class CameraActivity:
    """Inputs that fill one camera's memory and requests that are served from it, until the lifetime ends."""

    def __init__(self, node: GuardedNode, parts: CameraParts, gate: Gate, lifetime: ExitStack) -> None:
        """Raises GarError INVALID_REQUEST for a QoS override that is no policy."""
        settings, camera = parts.settings, parts.camera
        self._inputs = Inputs(node, settings, parts.frames, parts.depth, parts.tracks, lifetime, camera)
        self._depth = DepthInputs(node, settings, parts.depth, parts.frames, lifetime, camera)
        if parts.keyframer is not None:
            every(node, 1 / CHECKS_PER_SECOND, parts.keyframer.make_if_due, lifetime)
        for output in parts.outputs:
            output.start(lifetime)
        # Its defects mustn't cost the reply.
        on_answer = node.doors.guard(camera.of(ANSWERS).name, parts.answers.publish)
        gate.open(Served(parts.server, parts.grapher, parts.finder, parts.tracks.tracks, on_answer), lifetime)

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
