"""What exists between configure and cleanup."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from rclpy.node import Node

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import Engines
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.memory.tracks import DetectorIds, Tracker, TrackMemory
from gar_ros.node.inputs.tf import make_poses
from gar_ros.node.outputs.graph_topic import GraphTopic
from gar_ros.node.outputs.track_topic import TrackTopic
from gar_ros.node.outputs.visualization import Visual
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.keyframer import Keyframer
from gar_ros.serving.scene_graph import Grapher
from gar_ros.serving.server import Server
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings


class Components:
    """Model, memory and everything that uses them; made by `configure`."""

    def __init__(self, node: Node, settings: Callable[[], Settings], why_no_input: Callable[[], str]) -> None:
        self.settings = now = settings()
        engines = Engines(Path(now.runtime.engines) if now.runtime.engines else None, now.runtime.build_engines)
        model = now.model or default_model_dir()
        engine = GarEngine.open(model, now.runtime.provider, now.runtime.threads, now.runtime.allow_fallback, engines)
        self.model_name, self.provider = engine.manifest.name, engine.provider
        logger, clock = node.get_logger(), node.get_clock()
        self.frames = FrameMemory(now.memory.frames_kept, now.past.images_kept, round(1e9 / now.past.rate))
        self.tracks = TrackMemory(
            _tracker(now),
            now.tracking.confirm_after,
            round(now.tracking.lost_after * 1e9),
            now.tracking.tracks_kept,
            now.tracking.images_kept,
        )
        self.track_topic = TrackTopic(node, self.tracks)
        self.poses = make_poses(node, self.settings.depth.target_frame)
        slop_ns = round(self.settings.depth.slop * 1e9)
        self.depth = DepthMemory(self.settings.depth.images_kept, slop_ns, self.poses.find)
        self.visual = Visual(node, self.settings, self.frames, self.depth)
        self.worker = Worker(
            self.settings.request.queue_size, lambda error: logger.error("".join(traceback.format_exception(error)))
        )
        self.keyframer = self._keyframer(engine, settings)
        stand_in = self.keyframer.instead_of if self.keyframer else None
        choice = FrameChoice(self.frames, self.tracks, settings, lambda: int(clock.now().nanoseconds), stand_in)
        keyframes = self.keyframer.keyframes if self.keyframer else None
        encoded = EncodedMemory(engine, now.memory.encoded_kept, keyframes)
        self.server = Server(engine, choice, encoded, self.depth, self.worker, settings)
        self.grapher = Grapher(engine, choice, encoded, self.worker, settings)
        self.graphs = GraphTopic(node, self.settings.graph.rate, self.frames, self.worker, self.visual.related)

    def _keyframer(self, engine: GarEngine, settings: Callable[[], Settings]) -> Keyframer | None:
        now = self.settings
        if now.features.mode == "exact":
            return None
        bounds = Bounds(now.features.max_per_region, now.features.max_memory * 2**20, round(now.features.max_age * 1e9))
        most_tiles = engine.manifest.tiles.max_tiles
        return Keyframer(self.frames, KeyframeMemory(engine, bounds), self.worker, settings, most_tiles)

    def health(self) -> dict[str, str]:
        """What diagnostics tell of it."""
        values = {
            "model": self.model_name,
            "provider": self.provider,
            "requests waiting": str(self.worker.waiting),
            "frames kept": str(len(self.frames.stamps(with_regions=False))),
        }
        if self.keyframer is not None:
            usage = self.keyframer.keyframes.usage
            kept = f"{usage.features} of {usage.tracks} regions in {usage.keyframes} keyframes"
            values |= {"features kept": kept, "features (MiB)": f"{usage.bytes / 2**20:.1f}"}
        return values

    def close(self) -> None:
        """Waits for the model's next check."""
        self.worker.close(GarError(ErrorCode.CANCELLED, "the node was cleaned up"))
        self.visual.close()
        self.graphs.close()
        self.track_topic.close()
        self.poses.close()


def _tracker(settings: Settings) -> Tracker:
    """Raises GarError INVALID_REQUEST when the tracking library is not installed."""
    if settings.tracking.method == "detector":
        return DetectorIds(round(settings.tracking.lost_after * 1e9))
    try:
        from gar_ros.memory.similari import AssociatedIds  # only here: most detectors track by themselves
    except ImportError as error:
        message = f"tracking.method: expected the package similari-trackers-rs for 'similari', got {error}"
        raise GarError(ErrorCode.INVALID_REQUEST, message) from error
    return AssociatedIds(settings.tracking.min_overlap, settings.tracking.max_idle)
