# SPDX-License-Identifier: Apache-2.0
"""JSON read into declared types: msgspec checks, and an error names the value, what was expected and what came."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1, description="a whole number above 0")]

_PLAIN = (int, float, str, bool)
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PATH = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class JsonError(ValueError):
    """A value that is not as declared. where: its way from the document, such as "sizes.tile"; "" for all of it."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(printable(f"'{where}': {message}" if where else message))
        self.where = where
        self.message = message


def read(text: str | bytes, kind: type[T]) -> T:
    """The value of a JSON document, as `convert`. Raises JsonError, also for a text that is no JSON."""
    return convert(load(text), kind)


def load(text: str | bytes) -> Any:
    """The value of a JSON document of any kind.

    Raises JsonError, naming line and column, for a text that is none; also for a name that an object has twice, and for
    numbers that JSON doesn't have: NaN, infinity and those too large for a float.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError among them
        raise JsonError("", f"is not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise JsonError("", f"expected each name once in an object, got {shortened(twice)} twice")
    return values


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError("", f"expected numbers that are finite, got {text[:40]}")
    return value


def convert(value: Any, kind: type[T]) -> T:
    """Lists, objects and numbers of JSON as the declared type: a msgspec.Struct, a dataclass, a dict, list or tuple.

    A whole number serves as a float; apart from that every value must be of the declared type, so `true` is no number.
    A type's Meta(description=..) is what its errors expect. Raises JsonError about the first value that doesn't fit.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), value, kind) from error
    except UnicodeEncodeError as error:  # JSON can write half a surrogate pair, which is no character
        raise JsonError("", f"expected Unicode texts, got one with {error.object[error.start]!r}") from error
    except (RecursionError, OverflowError) as error:
        raise JsonError("", f"expected what is declared here, got a value that can't be read: {error}") from error


def shortened(value: Any) -> str:
    """A value of JSON for a message, in printable characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # Python writes at most 4300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return f"a {type(value).__name__} nested thousands of levels deep"
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def printable(text: str) -> str:
    """The text with escapes for what a terminal or a log should not get: line ends, control characters, surrogates."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _explained(message: str, value: Any, kind: Any) -> JsonError:
    """msgspec's message names neither the value that came nor an object's key."""
    found = _PATH.fullmatch(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    where = ""
    for step in _STEP.finditer(path):
        name, value, kind = _member(value, kind, step["field"] or step["index"])
        where += name if name.startswith("[") or not where else f".{name}"
    if missing := _MISSING.fullmatch(what):
        return JsonError(f"{where}.{missing[1]}".lstrip("."), "missing")
    if unknown := _UNKNOWN.fullmatch(what):
        return JsonError(f"{where}.{unknown[1]}".lstrip("."), f"unknown, expected only {', '.join(_fields(kind, {}))}")
    return JsonError(where, f"expected {_expected(kind, what)}, got {shortened(value)}")


def _member(value: Any, kind: Any, step: str) -> tuple[str, Any, Any]:
    """Name, value and type of what one step of msgspec's path leads to."""
    kind = _container(kind, value)
    if isinstance(value, list):
        items = get_args(kind)
        index = int(step)
        return f"[{index}]", value[index], items[0] if len(items) == 1 or items[1] is ... else items[index]
    if step == "...":  # of all the object's values one doesn't fit
        item = get_args(kind)[1]
        name = next(name for name, entry in value.items() if not _fits(entry, item))
        return name, value[name], item
    return step, value[step], _fields(kind, value)[step]


def _container(kind: Any, value: Any) -> Any:
    """Of a union the member that a list or an object is read into; without annotation."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, UnionType):
        return kind
    members = [_container(member, value) for member in get_args(kind) if member is not NoneType]
    is_list = isinstance(value, list)
    return next((member for member in members if _is_list_type(member) == is_list and member not in _PLAIN), kind)


def _is_list_type(kind: Any) -> bool:
    return get_origin(kind) in (list, tuple)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _fields(kind: Any, value: Any) -> dict[str, Any]:
    """Name in JSON -> type."""
    kind = _container(kind, value)
    hints = get_type_hints(kind, include_extras=True)
    if issubclass(kind, msgspec.Struct):
        return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(kind)}
    return hints


def _expected(kind: Any, what: str) -> str:
    """What a value of this type is, in words; `what` is msgspec's message."""
    if get_origin(kind) is Annotated:
        descriptions = [meta.description for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]
        if descriptions and descriptions[-1]:
            return descriptions[-1]
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(kind))
    phrase = re.sub(r", got .*", "", what.removeprefix("Expected "))
    return re.sub(r"`([\w |]+)`", lambda types: " or ".join(_WORDS[one] for one in types[1].split(" | ")), phrase)
