# SPDX-License-Identifier: Apache-2.0
"""Reads storage files that rosbags refuses: not closed by their recorder, damaged, or MCAP of another profile."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from binascii import crc32
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

from gar_ros.bag.libraries import lz4_frame, zstd
from gar_ros.bag.sources import MCAP_MAGIC

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 1, 2, 3, 4, 5, 6, 15
_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class _BrokenError(Exception):
    """A record that can't be read."""


class _Record(NamedTuple):
    kind: int
    data: bytes


class McapScan:
    """An MCAP file from its beginning, without its index. The format: https://mcap.dev/spec."""

    def __init__(self, path: Path) -> None:
        """Reads the whole file once. Raises OSError."""
        self._path = path
        self.damage = ""
        """What can't be read of it; empty where nothing is amiss."""
        self._connections: dict[int, Connection] = {}
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        for _ in self.messages(()):
            pass

    @property
    def connections(self) -> list[Connection]:
        """All topics."""
        return list(self._connections.values())

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Topic, time of logging in nanoseconds, and data, of the messages of these topics in the order of the file."""
        self.damage = ""
        wanted = {one.id for one in connections}
        with self._path.open("rb") as file:
            for record in self._records(file):
                yield from self._of_record(record, wanted)

    def close(self) -> None:
        """Nothing stays open."""

    def _records(self, file: BinaryIO) -> Iterator[_Record]:
        """What is in chunks, too."""
        if file.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
            self.damage = "it does not begin as MCAP"
            return
        try:
            for record in _split(file, self._path.stat().st_size):
                if record.kind in (_DATA_END, _FOOTER):
                    return
                if record.kind != _CHUNK:
                    yield record
                    continue
                try:
                    content = _unpacked(record.data)
                except Exception as error:  # noqa: BLE001, each decompressor has its own
                    self.damage = self.damage or f"a chunk is damaged ({error})"
                    continue
                yield from _split(BytesIO(content), len(content))
            self.damage = self.damage or "it ends in the middle: its recorder did not close it"
        except _BrokenError as error:
            self.damage = self.damage or str(error)

    def _of_record(self, record: _Record, wanted: set[int]) -> Iterator[tuple[Connection, int, bytes]]:
        data = record.data
        try:
            if record.kind == _SCHEMA:
                number, name, rest = (*struct.unpack_from("<H", data), *_text(data[2:]))
                encoding, rest = _text(rest)
                text, _ = _text(rest)
                self._schemas[number] = (
                    name,
                    MessageDefinition(_FORMATS.get(encoding, MessageDefinitionFormat.NONE), text),
                )
            elif record.kind == _CHANNEL:
                number, schema = struct.unpack_from("<HH", data)
                topic, rest = _text(data[4:])
                encoding, _ = _text(rest)
                kind, definition = self._schemas.get(schema, ("", MessageDefinition(MessageDefinitionFormat.NONE, "")))
                self._connections.setdefault(number, _connection(number, topic, kind, definition, encoding))
            elif record.kind == _MESSAGE:
                number, _, logged_ns = struct.unpack_from("<HIQ", data)
                if number in wanted and number in self._connections:
                    yield self._connections[number], logged_ns, data[22:]
        except (struct.error, UnicodeDecodeError) as error:
            self.damage = self.damage or f"a record is damaged ({error})"


class SqliteScan:
    """A SQLite file row by row, up to the first that can't be read."""

    def __init__(self, path: Path, scratch: Path) -> None:
        """scratch: a folder for a copy, where the recorder has left a journal, which SQLite then works in. Raises
        OSError, and sqlite3.Error where not even the topics can be read."""
        path = path.resolve()
        journals = [path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-journal")]
        journals = [journal for journal in journals if journal.exists() and journal.stat().st_size]
        if journals:
            for file in (path, *journals):
                shutil.copyfile(file, scratch / f"copy-{file.name}")
            self._database = sqlite3.connect(scratch / f"copy-{path.name}")
        else:
            self._database = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
        self.damage = ""
        """What can't be read of it; empty where nothing is amiss."""
        try:
            self._database.execute("PRAGMA writable_schema = ON")  # else SQLite reads nothing of a file that was cut
            kinds = {name: MessageDefinition(_FORMATS[encoding], text) for name, encoding, text in self._definitions()}
            none = MessageDefinition(MessageDefinitionFormat.NONE, "")
            self._connections = {
                number: _connection(number, topic, kind, kinds.get(kind, none), encoding)
                for number, topic, kind, encoding in self._database.execute(
                    "SELECT id, name, type, serialization_format FROM topics"
                )
                if isinstance(topic, str) and isinstance(kind, str)
            }
        except sqlite3.Error:
            self._database.close()
            raise

    @property
    def connections(self) -> list[Connection]:
        """All topics."""
        return list(self._connections.values())

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """As in McapScan."""
        self.damage = ""
        wanted = {one.id: one for one in connections}
        try:
            for number, logged_ns, data in self._database.execute(
                "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
            ):
                if number in wanted and isinstance(logged_ns, int) and isinstance(data, bytes):
                    yield wanted[number], logged_ns, data
        except sqlite3.Error as error:
            self.damage = str(error)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _definitions(self) -> list[Any]:
        """Rows of type, encoding and text; none in older bags."""
        query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        try:
            return [row for row in self._database.execute(query) if row[1] in _FORMATS and isinstance(row[2], str)]
        except sqlite3.Error:
            return []


def why_incomplete(path: Path) -> str:
    """Why a SQLite file does not hold all that was recorded; empty where it does."""
    log = path.resolve().with_name(f"{path.resolve().name}-wal")
    if log.exists() and log.stat().st_size:
        return f"its recorder did not close it, and left {log.name}"
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100:
        return "it is cut off"
    (page,) = struct.unpack_from(">H", header, 16)
    changed, pages = struct.unpack_from(">II", header, 24)
    (valid_for,) = struct.unpack_from(">I", header, 92)
    size = (65536 if page == 1 else page) * pages
    return "it is cut off" if changed == valid_for and path.stat().st_size < size else ""


def _connection(number: int, topic: str, kind: str, definition: MessageDefinition, encoding: str) -> Connection:
    return Connection(number, topic, kind, definition, "", 0, ConnectionExtRosbag2(encoding, []), None)


def _split(stream: BinaryIO, size: int) -> Iterator[_Record]:
    while stream.tell() < size:
        start = stream.read(9)
        if len(start) < 9:
            raise _BrokenError("it ends in the middle of a record: its recorder did not close it")
        kind, length = struct.unpack("<BQ", start)
        if length > size - stream.tell():
            raise _BrokenError("it ends in the middle of a record: its recorder did not close it")
        yield _Record(kind, stream.read(length))


def _unpacked(chunk: bytes) -> bytes:
    """The records of a chunk. Raises ValueError, or what a decompressor raises."""
    size, checksum = struct.unpack_from("<QI", chunk, 16)
    packing, rest = _text(chunk[28:])
    packed = rest[8 : 8 + struct.unpack_from("<Q", rest)[0]]
    unpack = {"": bytes, "lz4": lz4_frame.decompress, "zstd": zstd.decompress}.get(packing)
    if unpack is None:
        raise ValueError(f"unknown compression '{packing}'")
    content = bytes(unpack(packed))
    if len(content) != size or (checksum and crc32(content) != checksum):
        raise ValueError("its checksum is wrong")
    return content


def _text(data: bytes) -> tuple[str, bytes]:
    """A string at the beginning, and what comes after it."""
    (length,) = struct.unpack_from("<I", data)
    if length > len(data) - 4:
        raise struct.error("a text is longer than its record")
    return data[4 : 4 + length].decode(), data[4 + length :]
