# SPDX-License-Identifier: Apache-2.0
"""What a file says wrongly is named: where, what was expected and what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from gar_ros.json_reader import JsonError, Positive, convert, read


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file's object may look like."""

    side: Positive
    kind: Literal["round", "square"] = "round"
    renamed: Annotated[list[int], msgspec.Meta(min_length=1)] = msgspec.field(name="old-name", default_factory=list)


@dataclass(frozen=True)
class Whole:
    """Every form that declarations of this package use."""

    parts: dict[str, Part]
    point: tuple[float, float]
    ids: int | Annotated[list[int], msgspec.Meta(min_length=1)] = 0
    first: str | Part | None = None
    rest: tuple[Part, ...] = ()
    text: Annotated[str, msgspec.Meta(pattern=r"\S", description="a text that is not blank")] = "x"
    on: bool = True


GOOD: dict[str, Any] = {"parts": {"a.b": {"side": 1}}, "point": [1, 2.5]}


def test_a_value_as_declared() -> None:
    read = convert({**GOOD, "ids": [1, 2], "rest": [{"side": 2, "old-name": [3]}]}, Whole)
    assert read == Whole({"a.b": Part(1)}, (1.0, 2.5), [1, 2], rest=(Part(2, renamed=[3]),))
    assert isinstance(read.point[0], float)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"point": [1, True]}, "'point[1]': expected a number, got true"),
        ({"point": [1]}, "'point': expected a list of length 2, got [1]"),
        ({"point": {"x": 1}}, "'point': expected a list, got {\"x\": 1}"),
        ({"on": 1}, "'on': expected true or false, got 1"),
        ({"ids": 1.0}, "'ids': expected a whole number or a list, got 1.0"),
        ({"ids": [1, "2"]}, "'ids[1]': expected a whole number, got \"2\""),
        ({"ids": []}, "'ids': expected a list of length >= 1, got []"),
        ({"text": " "}, "'text': expected a text that is not blank, got \" \""),
        ({"parts": [1]}, "'parts': expected an object, got [1]"),
        ({"parts": {"a": {"side": 1}, "b": {"side": 0}}}, "'parts.b.side': expected a whole number above 0, got 0"),
        ({"parts": {"a": {"side": True}}}, "'parts.a.side': expected a whole number above 0, got true"),
        ({"parts": {"a": {"side": 1, "kind": ""}}}, '\'parts.a.kind\': expected "round" or "square", got ""'),
        ({"parts": {"a": {"side": 1, "old-name": []}}}, "'parts.a.old-name': expected a list of length >= 1, got []"),
        ({"parts": {"a": {}}}, "'parts.a.side': missing"),
        ({"parts": {"a": {"side": 1, "sid": 2}}}, "'parts.a.sid': unknown, expected only side, kind, old-name"),
        ({"first": {"side": None}}, "'first.side': expected a whole number above 0, got null"),
        ({"rest": [{"side": 1}, {"side": 1, "kind": 3}]}, '\'rest[1].kind\': expected "round" or "square", got 3'),
        ({"rest": [{"side": 1}, [5]]}, "'rest[1]': expected an object, got [5]"),
    ],
)
def test_a_value_of_another_kind_is_named(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(JsonError) as caught:
        convert({**GOOD, **change}, Whole)
    assert str(caught.value) == expected


def test_the_document_itself_has_no_name() -> None:
    with pytest.raises(JsonError) as caught:
        read(b"[7]", Part)
    assert (caught.value.where, str(caught.value)) == ("", "expected an object, got [7]")


def test_long_values_are_cut() -> None:
    with pytest.raises(JsonError) as caught:
        convert({"side": "7" * 100}, Part)
    assert str(caught.value).endswith(f'got "{"7" * 56}...')


@pytest.mark.parametrize("text", [b"", b"{", b'{"side": 1,}', b"\xff\xfe", "[" * 100_000])
def test_a_text_that_is_no_json(text: str | bytes) -> None:
    with pytest.raises(JsonError, match="is not JSON: "):
        read(text, Part)


def test_half_a_surrogate_pair_is_no_text() -> None:
    """JSON can write it, Unicode has no such character."""
    with pytest.raises(JsonError, match=r"expected Unicode texts, got one with '\\ud800'"):
        read(r'{"\ud800": 1}', Whole)
