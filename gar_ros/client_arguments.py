# SPDX-License-Identifier: Apache-2.0
"""From the arguments of a call to its message: checked here, since rclpy's C code ends the process for a wrong type."""

from __future__ import annotations

import array
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Set
from itertools import islice
from typing import Any, TypeVar

from builtin_interfaces.msg import Time
from rclpy.time import Time as RclpyTime

from gar_ros.errors import ErrorCode, GarError

Message = TypeVar("Message")

MAX_CHARACTERS = 100_000
MAX_ITEMS = 10_000
"""Far beyond what a node takes; DDS would lose a larger message without a word."""

_LARGEST_FLOAT32 = float.fromhex("0x1.fffffep+127")
_INTEGERS = {f"{sign}int{bits}": (sign == "u", bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""Integer types of messages: whether they are unsigned, and their bits."""


class InvalidArgumentError(GarError, ValueError):
    """An argument of a value that no request can have; it was not sent. Its code is INVALID_REQUEST or
    QUESTION_TOO_LONG, as if the node had refused it. An argument of a wrong type raises TypeError."""


def filled(message: Message, arguments: Mapping[str, Any]) -> Message:
    """The message with these of its fields set; None leaves a field as it is.

    Raises TypeError or InvalidArgumentError that names the argument, and TypeError for a name that is no field.
    """
    types: Mapping[str, str] = message.get_fields_and_field_types()  # type: ignore[attr-defined]
    if unknown := [name for name in arguments if name not in types]:
        raise TypeError(f"expected keyword arguments out of {', '.join(types)}; got {', '.join(unknown)}")
    for name, value in arguments.items():
        if value is not None:
            setattr(message, name, _argument(name, types[name], value))
    return message


def checked_seconds(name: str, value: Any) -> float:
    """The number of seconds. Raises as `filled` does."""
    return _limit(name, value)


def checked_flag(name: str, value: Any) -> bool:
    """The flag; NumPy's are fine. Raises TypeError."""
    if isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_")):
        return bool(value)
    raise _wrong_type(name, "True or False", value)


def checked_callable(name: str, value: Any) -> None:
    """Raises TypeError unless the argument can be called or is None."""
    if value is not None and not callable(value):
        raise _wrong_type(name, "something to call", value)


def checked_event(name: str, value: Any) -> None:
    """Raises TypeError unless the argument is like a threading.Event or is None."""
    if value is not None and not callable(getattr(value, "is_set", None)):
        raise _wrong_type(name, "a threading.Event", value)


def checked_text(name: str, value: Any) -> str:
    """The text as a plain str. Raises as `filled` does."""
    if not isinstance(value, str):
        hint = f"; write {str(value)!r}" if isinstance(value, numbers.Integral) else ""
        raise TypeError(f"{name}: expected a str, got {_shown(value)}{hint}")
    text = str.__str__(value)
    if len(text) > MAX_CHARACTERS:
        of_question = name.startswith(("text", "choices", "words"))
        code = ErrorCode.QUESTION_TOO_LONG if of_question else ErrorCode.INVALID_REQUEST
        raise InvalidArgumentError(code, f"{name}: expected at most {MAX_CHARACTERS} characters, got {len(text)}")
    if "\0" in text:
        raise _invalid(name, f"expected a text without NUL characters, which would end it there; got {text[:40]!r}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(name, f"expected a text that UTF-8 can write, got {text[:40]!r}: {error.reason}") from None
    return text


def _argument(name: str, kind: str, value: Any) -> Any:
    """An argument for a field of this type: every number is a limit, so it is finite and not negative."""
    if kind == "string":
        return checked_text(name, value)
    if kind == "boolean":
        return checked_flag(name, value)
    if kind == "float":
        return _limit(name, value)
    if kind == "builtin_interfaces/Time":
        return _stamp(name, value)
    if kind == "sequence<string>":
        return _items(name, "texts", value, checked_text)
    if kind == "sequence<gar_ros/Region>":
        from gar_ros.msg import Region

        return _items(name, "Region messages", value, lambda item_name, item: _message(item_name, Region, item))
    return _integer(name, kind, value)


def _items(name: str, what: str, value: Any, check: Callable[[str, Any], Any]) -> list[Any]:
    """The checked items in their order. A str is no sequence of texts, and a set or mapping has no order to rely on."""
    if isinstance(value, (str, bytes, bytearray, memoryview, Set, Mapping)) or not isinstance(value, Iterable):
        hint = f"; write [{str.__str__(value)!r}]" if isinstance(value, str) else ""
        raise TypeError(f"{name}: expected a sequence of {what}, got {_shown(value)}{hint}")
    try:
        items = list(islice(value, MAX_ITEMS + 1))
    except TypeError:  # NumPy's arrays without dimensions
        raise _wrong_type(name, f"a sequence of {what}", value) from None
    if len(items) > MAX_ITEMS:
        raise _invalid(name, f"expected at most {MAX_ITEMS} {what}, got more")
    return [check(f"{name}[{index}]", item) for index, item in enumerate(items)]


def _limit(name: str, value: Any) -> float:
    number = _float(name, value)
    if not 0.0 <= number <= _LARGEST_FLOAT32:
        raise _invalid(name, f"expected a finite number that is not negative, got {number:g}")
    return number


def _float(name: str, value: Any) -> float:
    """Also of an int: one in a float's field would end the process."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _wrong_type(name, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _invalid(name, "expected a number within a float's range, got an integer beyond it") from None


def _integer(name: str, kind: str, value: Any) -> int:
    if isinstance(value, bool):
        raise _wrong_type(name, "an int", value)
    try:
        number = operator.index(value)
    except TypeError:
        raise _wrong_type(name, "an int", value) from None
    unsigned, bits = _INTEGERS[kind]
    least, most = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not least <= number <= most:
        got = str(number) if abs(number) < 2**70 else f"an integer of {number.bit_length()} bits"
        raise _invalid(name, f"expected an int from {least} to {most}, got {got}")
    return number


def _stamp(name: str, value: Any) -> Time:
    if isinstance(value, RclpyTime):
        value = value.to_msg()
    stamp = _message(name, Time, value)
    if stamp.nanosec >= 10**9:
        raise _invalid(f"{name}.nanosec", f"expected less than 10**9, got {stamp.nanosec}")
    return stamp


def _message(name: str, kind: type[Message], value: Any) -> Message:
    """A checked copy of a message."""
    if not isinstance(value, kind):
        raise _wrong_type(name, f"a {kind.__name__} message", value)
    copy: Any = kind()
    for field, field_type in copy.get_fields_and_field_types().items():
        setattr(copy, field, _field(f"{name}.{field}", field_type, getattr(value, field), getattr(copy, field)))
    return copy


def _field(name: str, kind: str, value: Any, default: Any) -> Any:
    """A checked copy of a message's field. default: the field's value in an empty message."""
    if kind == "string":
        return checked_text(name, value)
    if kind == "boolean":
        return checked_flag(name, value)
    if kind in ("float", "double"):
        number = _float(name, value)
        if kind == "float" and math.isfinite(number) and abs(number) > _LARGEST_FLOAT32:
            raise _invalid(name, f"expected a number within a float32's range, got {number:g}")
        return number
    if kind in _INTEGERS:
        return _integer(name, kind, value)
    if isinstance(default, array.array):
        if not isinstance(value, array.array) or value.typecode != default.typecode:
            raise _wrong_type(name, f"an array.array of type '{default.typecode}'", value)
        return value
    return _message(name, type(default), value)


def _invalid(name: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(ErrorCode.INVALID_REQUEST, f"{name}: {message}")


def _wrong_type(name: str, expected: str, value: Any) -> TypeError:
    return TypeError(f"{name}: expected {expected}, got {_shown(value)}")


def _shown(value: Any) -> str:
    """Type and beginning of a value, for a person."""
    kind = type(value).__name__
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 of a stranger's class
        return kind
    return kind if len(text) > 60 or text.startswith("<") else f"{kind} {text}"
