# SPDX-License-Identifier: Apache-2.0
"""Messages with field values that no sane publisher would send, reproducible by their seed."""

from __future__ import annotations

import copy
import re
from importlib import import_module
from random import Random
from typing import Any

INTEGERS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"byte": 8, "octet": 8}
FLOATS = [0.0, -1.0, 1.0, 0.5, 1e-30, 1e30, float("nan"), float("inf"), float("-inf")]
TEXTS = [
    "",
    "rgb8",
    "mono8",
    "16UC1",
    "32FC1",
    "bayer_rggb8",
    "jpeg",
    "plumb_bob",
    "equidistant",
    "a",
    "x" * 300,
    "ä€🤖",
]
TEXTS += ["<Prompt0>", "\x01\x7f", "camera", "/", "17", "#2", " "]


def garbage(kind: Any, random: Random, depth: int = 0) -> Any:
    """A message of this type with any values that its fields can hold."""
    message = kind()
    for name, field_type in kind.get_fields_and_field_types().items():
        setattr(message, name, _value(field_type, random, depth))
    return message


def spoiled(message: Any, random: Random) -> Any:
    """A good message with one or two fields replaced, at any depth."""
    message = copy.deepcopy(message)
    for _ in range(random.randint(1, 2)):
        _spoil(message, random)
    return message


def _spoil(message: Any, random: Random) -> None:
    name, field_type = random.choice(list(message.get_fields_and_field_types().items()))
    value = getattr(message, name)
    inner = value[random.randrange(len(value))] if isinstance(value, list) and value else value
    if hasattr(inner, "get_fields_and_field_types") and random.random() < 0.9:
        _spoil(inner, random)
    elif (
        isinstance(value, (bytes, list)) is False and hasattr(value, "tobytes") and len(value) and random.random() < 0.7
    ):
        for _ in range(3):
            value[random.randrange(len(value))] = random.choice([0, 1, 255, 127])
    elif isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.7:
        near = random.choice([value + 1, max(value - 1, 0), value * 2, value // 2])
        setattr(message, name, min(near, _limits(field_type)[1]))
    else:
        setattr(message, name, _value(field_type, random, 1))


def _limits(field_type: str) -> tuple[int, int]:
    bits = INTEGERS[field_type]
    return (
        (0, 2**bits - 1) if field_type.startswith(("u", "byte", "octet")) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def _value(field_type: str, random: Random, depth: int) -> Any:
    if array := re.fullmatch(r"(.+)\[(\d+)\]", field_type):
        return [_value(array[1], random, depth + 1) for _ in range(int(array[2]))]
    if sequence := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", field_type):
        count = min(random.choice([0, 1, 2, 3, 50 if depth == 0 else 4]), int(sequence[2] or 50))
        return [_value(sequence[1], random, depth + 1) for _ in range(count)]
    if field_type == "boolean":
        return random.random() < 0.5
    if field_type in INTEGERS:
        low, high = _limits(field_type)
        value = random.choice([0, 1, 2, 3, low, high, high - 1, random.randint(low, high), random.randint(0, 127)])
        return bytes([value]) if field_type == "octet" else value
    if field_type in ("float", "double"):
        return random.choice([*FLOATS, random.uniform(-1000, 1000)])
    if field_type.startswith("string"):
        return random.choice(TEXTS)
    package, name = field_type.split("/")
    return garbage(getattr(import_module(f"{package}.msg"), name), random, depth + 1)
