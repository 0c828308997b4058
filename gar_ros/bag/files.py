# SPDX-License-Identifier: Apache-2.0
"""Bags as files: what one holds, and a new MCAP bag with messages of this package beside copied ones."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from rclpy.serialization import serialize_message
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer, WriterError

from gar_ros.bag.definitions import ZeroPadding, carried, full_name, installed
from gar_ros.bag.libraries import zstd
from gar_ros.bag.recover import McapScan, SqliteScan, why_incomplete
from gar_ros.bag.scratch import scratch_folder
from gar_ros.bag.sources import ZSTD_MAGIC, StorageFile, bad_bag, storage_files
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import is_running

_VERSION: Literal[8, 9] = 9
"""Of the bag's metadata: what ROS 2 Iron and later write; Humble's player reads it too."""
_RECOVER = "with --recover what can be read is answered"


class Recorded(NamedTuple):
    """One message. logged_ns: when it was recorded."""

    topic: str
    logged_ns: int
    data: bytes
    connection: Connection


class BagReader:
    """A rosbag2 bag: a folder, or a single MCAP or SQLite file, with or without compression."""

    def __init__(self, path: Path, recover: bool = False) -> None:
        """recover: reads what can be read of damaged files. Raises GarError INVALID_REQUEST."""
        self._path, self._recover = path, recover
        self._files: list[tuple[Path, Reader | McapScan | SqliteScan]] = []
        self.damage: dict[str, str] = {}
        """Of each file that can't be read to its end, why; complete once all messages were read."""
        with ExitStack() as stack:
            try:
                scratch = stack.enter_context(scratch_folder())
                for file in storage_files(path, scratch):
                    opened = self._opened(file, scratch)
                    stack.callback(opened.close)
                    self._files.append((file.path, opened))
            except OSError as error:
                raise bad_bag(path, error.strerror or error) from error
            self._lifetime = stack.pop_all()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetime.close()

    def types(self) -> dict[str, str]:
        """Message type, as gar_ros/RegionArray, of every topic; of a topic of several types all, separated by |."""
        kinds: dict[str, set[str]] = {}
        for _, opened in self._files:
            for one in opened.connections:
                encoding = "" if encoding_of(one) == "cdr" else f" as {encoding_of(one)}"
                kinds.setdefault(one.topic, set()).add(full_name(one.msgtype).replace("/msg/", "/") + encoding)
        return {topic: "|".join(sorted(names)) for topic, names in kinds.items()}

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """In the order of recording. topics: only these; None: all. Raises GarError INVALID_REQUEST where a file is
        damaged."""
        for file, opened in self._files:
            read = 0
            wanted = [one for one in opened.connections if topics is None or one.topic in topics]
            if not wanted:
                continue
            messages = opened.messages(wanted)
            while True:
                try:
                    connection, logged_ns, data = next(messages)
                    if data[:4] == ZSTD_MAGIC:  # compression_mode message; no message of ROS begins like this
                        data = zstd.decompress(data)
                    recorded = Recorded(connection.topic, logged_ns, bytes(data), connection)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001, rosbags and decompressors raise whatever damage leads to
                    self._tell_damage(file, f"{type(error).__name__}: {error}", read)
                    break
                read += 1
                yield recorded
            if not isinstance(opened, Reader) and opened.damage:
                self._tell_damage(file, opened.damage, read)

    def _opened(self, file: StorageFile, scratch: Path) -> Reader | McapScan | SqliteScan:
        """Raises GarError INVALID_REQUEST, OSError."""
        try:
            if self._recover:
                return McapScan(file.readable) if file.is_mcap else SqliteScan(file.readable, scratch)
            if not file.is_mcap and (why := why_incomplete(file.readable)):
                raise bad_bag(file.path, f"{why}; {_RECOVER}")
            reader = Reader(file.readable)
            reader.open()
        except (GarError, OSError):
            raise
        except Exception as error:  # of rosbags' readers, which meet damaged files with exceptions of all kinds
            advice = "" if self._recover else f"; {_RECOVER}"
            try:  # it may be whole, though not as rosbags wants it
                scan = McapScan(file.readable) if file.is_mcap else SqliteScan(file.readable, scratch)
            except sqlite3.Error:
                raise bad_bag(file.path, f"it is damaged ({error}){advice}") from error
            if scan.damage:
                raise bad_bag(file.path, f"it is damaged ({scan.damage}){advice}") from error
            return scan
        return reader

    def _tell_damage(self, file: Path, why: str, read: int) -> None:
        """Raises GarError INVALID_REQUEST unless what can be read is enough."""
        why = " ".join(why.split())
        if not self._recover:
            what = f"the bag can't be read to its end: '{file}' is damaged after {read} messages ({why}); {_RECOVER}"
            raise GarError(ErrorCode.INVALID_REQUEST, what)
        self.damage[str(file)] = f"{read} messages could be read ({why})"


class BagWriter:
    """A new bag folder with one MCAP file; it is there, complete, when the context is left without an error."""

    def __init__(self, path: Path) -> None:
        """Raises GarError INVALID_REQUEST when there is something at `path`."""
        check_new(path)
        self._path = path = path.absolute()
        self.folder = path.with_name(f".{path.name}.{os.getpid()}.part")
        """What is unfinished is here, on the same disk; the folder is gone when the context is left."""
        self.not_copied: Counter[str] = Counter()
        """Messages of the other bag that could not be copied, by the reason."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            delete_unfinished(path)
            self.folder.mkdir()
            # The file in the bag is called like the folder.
            self._writer = Writer(self.folder / path.name, version=_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise self._failed(error) from error
        self._own: dict[str, tuple[Connection, ZeroPadding]] = {}
        self._copied: dict[tuple[str, str], Connection | None] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                return
            self._writer.close()
            if self._path.exists():
                raise FileExistsError(errno.EEXIST, "something else has been put there")
            (self.folder / self._path.name).rename(self._path)
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            with suppress(Exception):  # flushes once more, to a disk that may be full
                self._writer.abort()
            shutil.rmtree(self.folder, ignore_errors=True)

    def copy(self, message: Recorded) -> None:
        """Writes a message of another bag as it is, with its definition and QoS. Raises GarError INVALID_REQUEST."""
        key = (message.topic, message.connection.msgtype)
        if key not in self._copied:
            self._copied[key] = self._counterpart(message.connection)
        connection = self._copied[key]
        if connection is None:
            encoding = encoding_of(message.connection)
            what = f"expected encoding cdr, got {encoding}"
            if encoding == "cdr":
                what = f"the bag has no definition of {key[1]}, and it is not installed"
            self.not_copied[f"{message.topic}: {what}"] += 1
            return
        self._write(connection, message.logged_ns, message.data)

    def write(self, topic: str, message: Any, logged_ns: int) -> None:
        """Writes a message of sensor_msgs or of this package; the same message as the same bytes. Raises GarError
        INVALID_REQUEST."""
        if topic not in self._own:
            kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
            definition = installed(kind)
            if definition is None:
                raise GarError(ErrorCode.INTERNAL_ERROR, f"the definition of {kind} is not installed")
            connection = self._writer.add_connection(topic, kind, msgdef=definition.text, rihs01=definition.digest)
            self._own[topic] = connection, ZeroPadding(kind, definition)
        connection, zero_padding = self._own[topic]
        self._write(connection, logged_ns, zero_padding(serialize_message(message)))

    def add_file(self, name: str, content: bytes) -> None:
        """Puts a file of another kind into the bag's folder, which readers of bags leave alone. Raises GarError
        INVALID_REQUEST."""
        try:
            (self.folder / self._path.name / name).write_bytes(content)
        except OSError as error:
            raise self._failed(error) from error

    def _counterpart(self, source: Connection) -> Connection | None:
        """The topic in this bag, None where nothing defines its type."""
        definition = carried(source) or installed(source.msgtype)
        if definition is None or encoding_of(source) != "cdr":
            return None
        return self._writer.add_connection(
            source.topic,
            full_name(source.msgtype),
            msgdef=definition.text,
            rihs01=definition.digest,
            offered_qos_profiles=source.ext.offered_qos_profiles,  # type: ignore[union-attr]
        )

    def _write(self, connection: Connection, logged_ns: int, data: bytes) -> None:
        try:
            self._writer.write(connection, logged_ns, data)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> GarError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return GarError(ErrorCode.INVALID_REQUEST, f"can't write a bag to '{self._path}': {why}")


def encoding_of(connection: Connection) -> str:
    """How the messages of a topic are encoded; `cdr` in ROS 2."""
    return str(connection.ext.serialization_format)  # type: ignore[union-attr]


def check_new(path: Path) -> None:
    """Raises GarError INVALID_REQUEST when there is something at `path`, where a bag is to be written."""
    if path.exists() or path.is_symlink():
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected a new folder for the bag, got '{path}', which exists")


def delete_unfinished(path: Path) -> None:
    """Deletes what runs that were killed have left of this bag. Raises OSError."""
    unfinished = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.part")
    for folder in path.parent.iterdir():
        found = unfinished.fullmatch(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir() or is_running(int(found[1])):
            continue
        if {one.name for one in folder.iterdir()} <= {path.name}:
            shutil.rmtree(folder, ignore_errors=True)
