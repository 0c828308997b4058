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
class Health:
    """state: of the lifecycle. failure: why the last transition failed, empty when it did not. trouble: why no images
    with regions come in, empty when they do. values: what else there is to tell."""

    state: str
    failure: str
    trouble: str
    values: Mapping[str, str]
    failing: Mapping[str, str] = field(default_factory=dict)
    """Why each callback that failed when it was called last did so, by its name."""

    @property
    def level(self) -> bytes:
        """As in DiagnosticStatus."""
        if self.failure:
            return DiagnosticStatus.ERROR
        troubled = self.failing or (self.state == ACTIVE and self.trouble)
        return DiagnosticStatus.WARN if troubled else DiagnosticStatus.OK

    @property
    def message(self) -> str:
        """One line for a person."""
        if self.failure:
            return self.failure
        if self.state == ACTIVE and self.trouble:
            return f"no images with regions: {self.trouble}"
        state = "serving" if self.state == ACTIVE else self.state
        first = next((f"{name}: {reason}" for name, reason in self.failing.items()), "")
        return f"{state}, but {first}" if first else state


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
        median, late = self._statistics.latency()
        outcomes = self._statistics.outcomes()
        values = {
            "lifecycle state": health.state,
            **health.values,
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
        status = DiagnosticStatus(
            level=health.level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: region questions",
            message=health.message,
            hardware_id=health.values.get("provider", ""),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
