# SPDX-License-Identifier: Apache-2.0
"""What exists between configure and cleanup, and what exists between activate and deactivate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import Engines
from gar_ros.errors import ErrorCode, GarError, GpuLostError
from gar_ros.memory.budget import MemoryBudget
from gar_ros.node.api.gate import Gate
from gar_ros.node.bond import make_bond
from gar_ros.node.camera import CameraActivity, CameraParts, Model
from gar_ros.node.endpoints import Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.tf import make_poses
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings


class Components:
    """The model, and of each camera the memory and everything that uses it, until the lifetime ends."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Callable[[], Settings],
        cameras: Sequence[Camera],
        lifetime: ExitStack,
        on_lost: Callable[[GpuLostError], object],
    ) -> None:
        """settings: the parameters as they are now. What is made here ends with `lifetime`, which waits for the model's
        next check. on_lost: called in the model's thread when the GPU is lost. Raises GarError for a model, parameter
        or QoS override that can't be used.
        """
        now = settings()
        engine, gpu_is_lost = _open(now), Event()
        lifetime.callback(_close, engine, gpu_is_lost)
        self.model_name, self.provider = engine.manifest.name, engine.provider
        self.notice = engine.manifest.notice
        poses = make_poses(node, now.depth.target_frame, lifetime)
        self.bond = make_bond(now.bond.heartbeat_period)

        self.cameras: dict[Camera, CameraParts] = {}

        def lost(error: GpuLostError) -> None:
            gpu_is_lost.set()
            on_lost(error)
            self._end_watches(error)

        self.worker = Worker(now.request.queue_size, *node.doors.of("worker of the model"), lost)
        lifetime.callback(self.worker.close, GarError(ErrorCode.CANCELLED, "the node was cleaned up"))
        self.budget = MemoryBudget(now.memory.max_memory * 2**20)
        self.budget.add(engine.encoder)  # the first to forget: encoding a tile again is the least that can be lost
        engine.on_full(self.budget.forget_most)
        model = Model(engine, self.worker, self.budget)
        self.cameras = {camera: CameraParts(node, camera, model, poses, settings, lifetime) for camera in cameras}

    def cancel(self) -> None:
        """Answers all requests that wait with CANCELLED, at once, and takes no more."""
        error = GarError(ErrorCode.CANCELLED, "the node was deactivated or shut down")
        self.worker.pause(error)
        self._end_watches(error)

    def _end_watches(self, error: GarError) -> None:
        for parts in self.cameras.values():
            parts.watcher.pause(error)

    def health(self) -> dict[str, str]:
        """What diagnostics tell of what all cameras share."""
        values = {
            "model": self.model_name,
            "provider": self.provider,
            "requests waiting": str(self.worker.requests_waiting),
            "encoded memory (MiB)": f"{self.budget.used / 2**20:.1f} of {self.budget.limit >> 20}",
        }
        return values | ({"about the model": self.notice} if self.notice else {})


class Activity:
    """Inputs that fill the components' memory and requests that are served from it, until the lifetime ends."""

    def __init__(
        self, node: GuardedNode, components: Components, gates: Mapping[Camera, Gate], lifetime: ExitStack
    ) -> None:
        """What is made here ends with `lifetime`; requests that wait then are answered CANCELLED.

        Raises GarError INVALID_REQUEST for a QoS override that is no policy.
        """
        lifetime.callback(components.cancel)
        components.worker.accept()
        self.cameras = {
            camera: CameraActivity(node, parts, gates[camera], lifetime) for camera, parts in components.cameras.items()
        }
        components.bond.form(node, lifetime)


def _open(now: Settings) -> GarEngine:
    runtime = now.runtime
    return GarEngine.open(
        now.model or default_model_dir(),
        runtime.provider,
        runtime.threads,
        runtime.allow_fallback,
        Engines(Path(runtime.engines) if runtime.engines else None, runtime.build_engines),
        max_memory=now.request.max_memory * 2**20,
    )


def _close(engine: GarEngine, gpu_is_lost: Event) -> None:
    """Asks nothing of a GPU that is lost: its libraries may hang or end the process before all callers are answered."""
    if not gpu_is_lost.is_set():
        engine.close()
