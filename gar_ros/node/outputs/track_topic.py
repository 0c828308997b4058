"""Tracks as a latched topic."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.timer import Timer

from gar_ros.memory.tracks import TrackMemory, TrackState
from gar_ros.messages.answers import track_message
from gar_ros.messages.headers import header_message
from gar_ros.msg import TrackArray
from gar_ros.node.endpoints import TRACKS
from gar_ros.node.inputs.subscriptions import every
from gar_ros.node.qos import publisher

_PERIOD = 0.5
"""Seconds between two looks at what has changed."""


class TrackTopic:
    """Publishes between `start` and `stop` whenever a track is new, gone or in another state, or was seen again."""

    def __init__(self, node: Node, tracks: TrackMemory) -> None:
        self._node, self._tracks = node, tracks
        self._publisher = publisher(node, TRACKS, latched=True)
        self._timer: Timer | None = None
        self._told: list[tuple[str, int, TrackState]] = []

    def start(self) -> None:
        """Publishes from now on."""
        self._timer = every(self._node, _PERIOD, self._publish)

    def stop(self) -> None:
        """Publishes no more; the last message stays latched."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def close(self) -> None:
        """Frees the topic."""
        self.stop()
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        tracks = self._tracks.tracks()
        state = [(track.id, track.last_ns, state) for track, state in tracks]
        if state == self._told:
            return
        self._told = state
        newest = max((track for track, _ in tracks), key=lambda track: track.last_ns, default=None)
        message = TrackArray(tracks=[track_message(track, state) for track, state in tracks])
        if newest is not None and newest.frame is not None:
            message.header = header_message(newest.frame.frame_id, newest.frame.stamp_ns)
        self._publisher.publish(message)
