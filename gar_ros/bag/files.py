# SPDX-License-Identifier: Apache-2.0
"""Bags as files: what one holds, and a new MCAP bag with messages of this package beside copied ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from rclpy.serialization import serialize_message
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import shipped

_VERSION: Literal[8, 9] = 9
"""Of the bag's metadata: what ROS 2 Iron and later write; Humble's player reads it too."""


class Recorded(NamedTuple):
    """One message. logged_ns: when it was recorded."""

    topic: str
    logged_ns: int
    data: bytes
    connection: Connection


class BagReader:
    """A rosbag2 bag, folder or single MCAP or SQLite file."""

    def __init__(self, path: Path) -> None:
        """Raises GarError INVALID_REQUEST."""
        if not path.exists():
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected a rosbag2 bag, got '{path}', which does not exist")
        try:
            self._reader = Reader(path)
            self._reader.open()
        except (ReaderError, OSError, ValueError) as error:
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected a rosbag2 bag, got '{path}': {error}") from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def types(self) -> dict[str, str]:
        """Message type, as gar_ros/RegionArray, of every topic."""
        return {one.topic: one.msgtype.replace("/msg/", "/") for one in self._reader.connections}

    def messages(self) -> Iterator[Recorded]:
        """All, in the order of recording. Raises GarError INVALID_REQUEST where the file breaks off."""
        try:
            for connection, logged_ns, data in self._reader.messages():
                yield Recorded(connection.topic, logged_ns, bytes(data), connection)
        except (ReaderError, ValueError, IndexError) as error:
            raise GarError(ErrorCode.INVALID_REQUEST, f"the bag can't be read to its end: {error}") from error


class BagWriter:
    """A new bag folder with one MCAP file; complete when the context is left."""

    def __init__(self, path: Path) -> None:
        """Raises GarError INVALID_REQUEST when there is something at `path`."""
        if path.exists():
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected a new folder for the bag, got '{path}', which exists")
        try:
            self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise GarError(ErrorCode.INVALID_REQUEST, f"can't write a bag to '{path}': {error}") from error
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._types.register(_own_types())
        self._own: dict[str, Connection] = {}
        self._copied: dict[int, Connection] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def copy(self, message: Recorded) -> None:
        """Writes a message of another bag as it is, with its definition and QoS."""
        source = message.connection
        if source.id not in self._copied:
            self._copied[source.id] = self._writer.add_connection(
                source.topic,
                source.msgtype,
                msgdef=source.msgdef.data,
                rihs01=source.digest,
                serialization_format=source.ext.serialization_format,  # type: ignore[union-attr]
                offered_qos_profiles=source.ext.offered_qos_profiles,  # type: ignore[union-attr]
            )
        self._writer.write(self._copied[source.id], message.logged_ns, message.data)

    def write(self, topic: str, message: Any, logged_ns: int) -> None:
        """Writes a message of sensor_msgs or of this package."""
        if topic not in self._own:
            package, kind = type(message).__module__.split(".")[0], type(message).__name__
            self._own[topic] = self._writer.add_connection(topic, f"{package}/msg/{kind}", typestore=self._types)
        self._writer.write(self._own[topic], logged_ns, serialize_message(message))


def _own_types() -> dict[str, Any]:
    """Definitions of this package's messages, from the files it ships."""
    folder = shipped("msg")
    if folder is None:
        raise GarError(ErrorCode.INTERNAL_ERROR, "the package's msg folder is not installed")
    types: dict[str, Any] = {}
    for file in sorted(folder.glob("*.msg")):
        types |= get_types_from_msg(file.read_text(encoding="utf-8"), f"gar_ros/msg/{file.stem}")
    return types
