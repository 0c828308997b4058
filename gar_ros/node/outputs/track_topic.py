# SPDX-License-Identifier: Apache-2.0
"""Tracks as a latched topic."""

from __future__ import annotations

from contextlib import ExitStack

from gar_ros.memory.tracks import TrackMemory, TrackState
from gar_ros.messages.answers import track_message
from gar_ros.messages.headers import header_message
from gar_ros.msg import TrackArray
from gar_ros.node.endpoints import TRACKS, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.qos import publisher

_RATE = 2.0
"""Looks a second at what has changed."""


class TrackTopic(PeriodicOutput):
    """Publishes whenever a track is new, gone or in another state, or was seen again."""

    def __init__(self, node: GuardedNode, tracks: TrackMemory, lifetime: ExitStack, camera: Camera) -> None:
        """The topic exists until `lifetime` ends. Raises GarError INVALID_REQUEST for a QoS override that is none."""
        super().__init__(node, _RATE, camera.of(TRACKS).name)
        self._tracks = tracks
        self._publisher = publisher(node, camera.of(TRACKS), lifetime, latched=True)
        self._told: list[tuple[str, int, TrackState]] = []

    def _look(self) -> None:
        tracks = self._tracks.tracks()
        state = [(track.id, track.last_ns, state) for track, state in tracks]
        if state == self._told:
            return
        newest = max((track for track, _ in tracks), key=lambda track: track.last_ns, default=None)
        message = TrackArray(tracks=[track_message(track, state) for track, state in tracks])
        if newest is not None and newest.frame is not None:
            message.header = header_message(newest.frame.frame_id, newest.frame.stamp_ns)
        self._publisher.publish(message)
        self._told = state
