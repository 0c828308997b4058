# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: how the node is, in every lifecycle state, in the form of the diagnostic_updater that PyPI has not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from gar_ros.errors import ErrorCode
from gar_ros.node.endpoints import DIAGNOSTICS
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.serving.statistics import RequestStatistics

ACTIVE = "active"


@dataclass(frozen=True)
class CameraHealth:
    """One camera. name: empty for the only one without a name. trouble: why no images with regions come in, empty when
    they do. values: what else there is to tell."""

    name: str
    trouble: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Health:
    """state: of the lifecycle. failure: why the last transition failed, empty when it did not. values: what else there
    is to tell."""

    state: str
    failure: str
    values: Mapping[str, str]
    cameras: tuple[CameraHealth, ...]
    failing: Mapping[str, str] = field(default_factory=dict)
    """Why each callback that failed when it was called last did so, by its name."""

    @property
    def level(self) -> bytes:
        """As in DiagnosticStatus."""
        if self.failure:
            return DiagnosticStatus.ERROR
        return DiagnosticStatus.WARN if self.failing or self._trouble else DiagnosticStatus.OK

    @property
    def message(self) -> str:
        """One line for a person."""
        if self.failure:
            return self.failure
        if self._trouble:
            return self._trouble
        state = "serving" if self.state == ACTIVE else self.state
        first = next((f"{name}: {reason}" for name, reason in self.failing.items()), "")
        return f"{state}, but {first}" if first else state

    @property
    def _trouble(self) -> str:
        return "; ".join(filter(None, map(self.trouble_of, self.cameras)))

    def trouble_of(self, camera: CameraHealth) -> str:
        """What is wrong with a camera, for a person; empty when nothing is, or the node is not active."""
        if self.state != ACTIVE or not camera.trouble:
            return ""
        return f"no images with regions{f' of camera {camera.name}' if camera.name else ''}: {camera.trouble}"


class Diagnostics(PeriodicOutput):
    """Publishes in every lifecycle state. health: called each time."""

    def __init__(
        self,
        node: GuardedNode,
        rate: float,
        statistics: RequestStatistics,
        health: Callable[[], Health],
        lifetime: ExitStack,
    ) -> None:
        """rate: messages a second; 0: none. The topic exists until `lifetime` ends."""
        super().__init__(node, rate, DIAGNOSTICS.name)
        self._statistics, self._health = statistics, health
        self._publisher = node.create_publisher(DIAGNOSTICS.type, DIAGNOSTICS.name, 10)
        lifetime.callback(node.destroy_publisher, self._publisher)

    def _look(self) -> None:
        health = self._health()
        unnamed = {key: value for one in health.cameras if not one.name for key, value in one.values.items()}
        median, late = self._statistics.latency()
        outcomes = self._statistics.outcomes()
        values = {
            "lifecycle state": health.state,
            **health.values,
            **unnamed,
            **health.failing,
            "latency p50 (s)": f"{median:.3f}",
            "latency p95 (s)": f"{late:.3f}",
            "requests answered": str(outcomes.get(ErrorCode.OK, 0)),
            "requests dropped (queue full)": str(outcomes.get(ErrorCode.QUEUE_FULL, 0)),
            **{
                f"requests refused: {code.name}": str(count)
                for code, count in sorted(outcomes.items())
                if code not in (ErrorCode.OK, ErrorCode.QUEUE_FULL)
            },
            "memory of the process (MiB)": f"{resident_bytes() / 2**20:.0f}",
        }
        name, hardware = self._node.get_fully_qualified_name().lstrip("/"), health.values.get("provider", "")
        statuses = [_status(f"{name}: region questions", health.level, health.message, hardware, values)]
        for camera in health.cameras:
            if camera.name:
                trouble = health.trouble_of(camera)
                level = DiagnosticStatus.WARN if trouble else DiagnosticStatus.OK
                told = trouble or ("serving" if health.state == ACTIVE else health.state)
                statuses.append(_status(f"{name}: camera {camera.name}", level, told, hardware, camera.values))
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def _status(name: str, level: bytes, message: str, hardware: str, values: Mapping[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
