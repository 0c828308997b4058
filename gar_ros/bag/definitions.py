# SPDX-License-Identifier: Apache-2.0
"""Definitions of message types: those a bag carries, else those of the installed packages (older bags carry none)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from gar_ros.files import install_prefixes, shipped

_TYPE = re.compile(r"(?P<package>\w+)/(msg/)?(?P<name>\w+)")


class Definition(NamedTuple):
    """What a bag says about a type. text: with the types it is made of. digest: the hash that ROS computes."""

    text: str
    digest: str


def full_name(kind: str) -> str:
    """`sensor_msgs/msg/Image` of that or of `sensor_msgs/Image`."""
    parts = _TYPE.fullmatch(kind)
    return kind if parts is None else f"{parts['package']}/msg/{parts['name']}"


def carried(source: Connection) -> Definition | None:
    """The definition that comes with a topic of a bag, None where there is none that can be understood."""
    if source.msgdef.format is MessageDefinitionFormat.NONE or not source.msgdef.data:
        return None
    if source.digest:
        return Definition(source.msgdef.data, source.digest)
    read = get_types_from_idl if source.msgdef.format is MessageDefinitionFormat.IDL else get_types_from_msg
    try:
        types = read(source.msgdef.data, *([full_name(source.msgtype)] if read is get_types_from_msg else []))
        return Definition(source.msgdef.data, _described(types, source.msgtype).digest)
    except Exception:  # noqa: BLE001, whatever rosbags' parsers raise for a text that is no definition
        return None


def installed(kind: str) -> Definition | None:
    """The definition of a type by the packages of this machine, None where they don't have it."""
    types: dict[str, Any] = {}
    wanted = [full_name(kind)]
    known = get_typestore(Stores.ROS2_JAZZY).fielddefs
    try:
        while wanted:
            name = wanted.pop()
            if name in types:
                continue
            file = _definition_file(name)
            found = {name: known[name]} if file is None else get_types_from_msg(file.read_text("utf-8"), name)
            types |= found
            wanted += [used for _, fields in found.values() for used in _types_in(fields)]
        return _described(types, kind)
    except Exception:  # noqa: BLE001, a type that is nowhere, or whatever rosbags' parser raises
        return None


class ZeroPadding:
    """Serialized messages of one type with zeros where the format has gaps between fields. Fast CDR leaves there what
    was in memory, so that the same message has other bytes each time."""

    def __init__(self, kind: str, definition: Definition) -> None:
        self._kind = full_name(kind)
        self._store = get_typestore(Stores.EMPTY)
        self._store.register(get_types_from_msg(definition.text, self._kind))

    def __call__(self, data: bytes) -> bytes:
        """The same message."""
        return bytes(self._store.serialize_cdr(self._store.deserialize_cdr(data, self._kind), self._kind))


def _described(types: Mapping[str, Any], kind: str) -> Definition:
    store = get_typestore(Stores.EMPTY)
    store.register(dict(types))
    text, _ = store.generate_msgdef(full_name(kind), ros_version=2)
    return Definition(text, store.hash_rihs01(full_name(kind)))


def _definition_file(name: str) -> Path | None:
    """The .msg file of a type; of this package from what it ships, of others from the prefixes of ROS."""
    package, _, kind = name.split("/")
    if package == "gar_ros":
        folder = shipped("msg")
        return None if folder is None else folder / f"{kind}.msg"
    files = [prefix / "share" / package / "msg" / f"{kind}.msg" for prefix in install_prefixes()]
    return next(filter(Path.is_file, files), None)


def _types_in(value: object) -> list[str]:
    """The names of message types in rosbags' description of fields."""
    if isinstance(value, str):
        return [value] if re.fullmatch(r"\w+/msg/\w+", value) else []
    return [name for part in value for name in _types_in(part)] if isinstance(value, (list, tuple)) else []
