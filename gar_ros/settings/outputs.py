# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters: what the node publishes by itself, and its bond."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.settings.declare import ANY_TIME, AT_START, parameter


@dataclass(frozen=True)
class DiagnosticsSettings:
    """The topic /diagnostics."""

    rate: float = parameter(1.0, "rate of messages on /diagnostics; 0: none", "Hz", (0.0, 10.0), changes=AT_START)


@dataclass(frozen=True)
class OverlaySettings:
    """The topic ~/overlay."""

    rate: float = parameter(5.0, "highest rate of pictures on ~/overlay; 0: none", "Hz", (0.0, 60.0))


@dataclass(frozen=True)
class MarkersSettings:
    """The topic ~/markers."""

    predicates: tuple[str, ...] = parameter(
        ("on top of", "inside", "touching"),
        "relations drawn as arrows on ~/markers; one that `graph.predicates` lacks is not drawn",
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class BondSettings:
    """The bond to Nav2's lifecycle manager."""

    heartbeat_period: float = parameter(
        0.0,
        "time between heartbeats to Nav2's lifecycle manager while the node is active, needs bondpy; 0: no bond, for a "
        "manager with bond_timeout 0.0",
        "s",
        (0.0, 10.0),
    )
