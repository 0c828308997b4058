# SPDX-License-Identifier: Apache-2.0
"""Every argument of every call that can't be sent raises in Python and names itself; rclpy would end the process."""

from __future__ import annotations

import array
import itertools
import math
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time as RclpyTime
from sensor_msgs.msg import Image, RegionOfInterest

from gar_ros.client import RegionClient
from gar_ros.client_arguments import InvalidArgumentError, filled
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Question, Region
from gar_ros.srv import FindRegions, GetSceneGraph


class Colour(str, Enum):
    RED = "red"


def refused(name: str, value: Any, message: Any = None) -> TypeError | InvalidArgumentError:
    """What an argument of this value raises; its name comes first."""
    with pytest.raises((TypeError, InvalidArgumentError)) as caught:
        filled(message or Question(), {name: value})
    assert str(caught.value).startswith(name)
    return caught.value  # type: ignore[return-value]


def sent(name: str, value: Any, message: Any = None) -> Any:
    """The argument as the node receives it."""
    message = filled(message or Question(), {name: value})
    return getattr(deserialize_message(serialize_message(message), type(message)), name)


TEXTS = ("text", "dialogue")
LISTS = ("region_ids", "choices")
INTS = ("keyframes", "max_tokens")
FLOATS = ("ago", "max_age", "timeout")


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [1, 1.5, b"cup", ["cup"], object(), True, np.int64(3), Time()])
def test_what_is_no_text_is_a_type_error(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), TypeError)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["a\0b", "\0", "\ud800", "ok\udfff", "x" * 200_000])
def test_a_text_that_would_not_arrive_as_it_is_has_no_valid_value(name: str, value: str) -> None:
    assert isinstance(refused(name, value), ValueError)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "value",
    [
        "17",
        "yes",
        b"17",
        17,
        1.0,
        {"17"},
        {"17": 1},
        [17],
        [np.int64(17)],
        np.array([1, 2]),
        np.array("17"),
        np.array([["a"]]),
        ["a", None],
        [["a"]],
        [b"a"],
        object(),
        True,
    ],
)
def test_what_is_no_sequence_of_texts_is_a_type_error(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), TypeError)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("value", [["a\0"], ["a", "\ud800"], itertools.repeat("a"), ["x" * 200_000]])
def test_texts_of_a_sequence_are_checked_too(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), ValueError)


@pytest.mark.parametrize("name", INTS)
@pytest.mark.parametrize(
    "value", [1.5, 1.0, "5", b"5", True, np.bool_(True), [5], math.nan, Fraction(1), np.float32(2)]
)
def test_what_is_no_int_is_a_type_error(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), TypeError)


@pytest.mark.parametrize("name", INTS)
@pytest.mark.parametrize(
    "value", [-1, 2**32, 10**400, -(10**5000), np.int64(-5)], ids=lambda value: type(value).__name__
)
def test_an_int_out_of_range_has_no_valid_value(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), ValueError)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["2", b"2", True, [2.0], 2j, Decimal(2), np.array(2.0), np.array([2.0]), object()])
def test_what_is_no_number_is_a_type_error(name: str, value: Any) -> None:
    assert isinstance(refused(name, value), TypeError)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -1e-9, 1e39, 10**400, np.float64("nan")])
def test_a_number_out_of_range_has_no_valid_value(name: str, value: Any) -> None:
    error = refused(name, value)
    assert isinstance(error, ValueError)
    assert isinstance(error, GarError) and error.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("name", ["threshold", "max_pairs", "predicates"])
@pytest.mark.parametrize("value", ["inside", math.nan, -1, object()])
def test_the_arguments_of_a_scene_graph_are_checked_too(name: str, value: Any) -> None:
    refused(name, value, GetSceneGraph.Request())


@pytest.mark.parametrize("name", ["words", "remembered", "least_probability", "max_results", "region_ids"])
@pytest.mark.parametrize("value", [math.nan, -1, object(), "a\0b", {"red"}])
def test_the_arguments_of_a_search_are_checked_too(name: str, value: Any) -> None:
    refused(name, value, FindRegions.Request())


def test_words_that_are_far_too_many_are_named_as_such() -> None:
    error = refused("words", "x" * 200_000, FindRegions.Request())
    assert isinstance(error, GarError) and error.code is ErrorCode.QUESTION_TOO_LONG


@pytest.mark.parametrize("value", [True, np.bool_(True)])
def test_a_flag_is_sent_as_it_is(value: Any) -> None:
    assert sent("remembered", value, FindRegions.Request()) is True


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        7,
        "now",
        Time,
        Region(),
        Time(sec=1.5),
        Time(sec=2**31),
        Time(nanosec=-1),
        Time(nanosec=10**9),
        Time(sec="1"),
        Time(sec=None),
    ],
)
def test_a_stamp_is_a_time(value: Any) -> None:
    refused("stamp", value)


def roi(**fields: Any) -> Region:
    return Region(box=RegionOfInterest(**fields))


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (None, "regions[0]"),
        ("cup", "regions[0]"),
        (Region, "regions[0]"),
        (Image(), "regions[0]"),
        (Region(id=3), "regions[0].id"),
        (Region(id="a\0"), "regions[0].id"),
        (Region(label=None), "regions[0].label"),
        (Region(label=b"cup"), "regions[0].label"),
        (Region(score="0.5"), "regions[0].score"),
        (Region(score=1e300), "regions[0].score"),
        (Region(box=None), "regions[0].box"),
        (Region(box=(1, 2, 3, 4)), "regions[0].box"),
        (roi(x_offset=-1), "regions[0].box.x_offset"),
        (roi(width=1.5), "regions[0].box.width"),
        (roi(height=2**32), "regions[0].box.height"),
        (roi(do_rectify=1), "regions[0].box.do_rectify"),
        (Region(mask=None), "regions[0].mask"),
        (Region(mask=np.zeros((4, 4))), "regions[0].mask"),
        (Region(mask=Image(width=-1)), "regions[0].mask.width"),
        (Region(mask=Image(step=1.0)), "regions[0].mask.step"),
        (Region(mask=Image(encoding=None)), "regions[0].mask.encoding"),
        (Region(mask=Image(is_bigendian=256)), "regions[0].mask.is_bigendian"),
        (Region(geometry=1), "regions[0].geometry"),
    ],
)
def test_a_region_is_checked_to_its_last_field(region: Any, name: str) -> None:
    assert str(refused("regions", [region])).startswith(f"{name}: expected ")


@pytest.mark.parametrize("value", [Region(), "ab", {"a": Region()}, 5])
def test_regions_are_a_sequence(value: Any) -> None:
    refused("regions", value)


def test_a_regions_numbers_may_be_numpys_and_its_floats_ints() -> None:
    box = RegionOfInterest(x_offset=np.int64(3), width=np.uint8(4), do_rectify=np.bool_(False))
    (region,) = sent("regions", (Region(id=np.str_("drawn"), score=1, box=box),))
    assert (region.id, region.score, region.box.x_offset, region.box.width) == ("drawn", 1.0, 3, 4)


def test_a_mask_arrives_whole() -> None:
    mask = Image(width=3, height=2, step=3, encoding="mono8", data=bytes(range(6)))
    assert sent("regions", [Region(mask=mask)])[0].mask == mask


@pytest.mark.parametrize("data", [[1, 2], bytes(2), np.zeros(2, np.uint8), array.array("f", [1.0])])
def test_a_masks_data_is_an_array_of_bytes_whatever_was_assigned(data: Any) -> None:
    region = Region()
    region.mask._data = data
    refused("regions", [region])


@pytest.mark.parametrize(
    ("name", "value", "arrives"),
    [
        ("text", "Привет, 🍵?\n", "Привет, 🍵?\n"),
        ("text", np.str_("What?"), "What?"),
        ("text", Colour.RED, "red"),
        ("region_ids", ("1", "7"), ["1", "7"]),
        ("region_ids", np.array(["1", "7"]), ["1", "7"]),
        ("region_ids", (name for name in "ab"), ["a", "b"]),
        ("region_ids", [], []),
        ("choices", [np.str_("yes"), Colour.RED], ["yes", "red"]),
        ("max_tokens", np.int64(5), 5),
        ("max_tokens", 2**32 - 1, 2**32 - 1),
        ("keyframes", np.uint8(3), 3),
        ("ago", 2, 2.0),
        ("ago", np.float32(0.5), 0.5),
        ("ago", np.int16(2), 2.0),
        ("timeout", Fraction(1, 2), 0.5),
        ("stamp", Time(sec=np.int64(7), nanosec=5), Time(sec=7, nanosec=5)),
        ("stamp", RclpyTime(seconds=7, nanoseconds=5), Time(sec=7, nanosec=5)),
        ("dialogue", "new", "new"),
    ],
)
def test_values_of_a_clear_meaning_arrive(name: str, value: Any, arrives: Any) -> None:
    assert sent(name, value) == arrives


@pytest.mark.parametrize("name", [name for name in Question.get_fields_and_field_types() if name != "text"])
def test_none_leaves_a_field_out(name: str) -> None:
    assert filled(Question(), {name: None}) == Question()


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.lists(st.one_of(st.integers(), st.text(), st.none(), st.floats())),
    st.dictionaries(st.text(), st.integers()),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(np.float32, st.floats(width=32)),
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(name=st.sampled_from([*Question.get_fields_and_field_types()]), value=ANYTHING)
def test_anything_arrives_or_is_refused_by_name(name: str, value: Any) -> None:
    try:
        message = filled(Question(), {name: value})
    except (TypeError, ValueError) as error:
        reason = str(error)
    else:
        sent_bytes = serialize_message(message)  # compared as bytes: a float32 is a rounded float
        assert serialize_message(deserialize_message(sent_bytes, Question)) == sent_bytes
        return
    assert reason.startswith(name)


CALLS: dict[str, Callable[..., object]] = {
    "query": RegionClient.query,
    "stream": RegionClient.stream,
    "describe": RegionClient.describe,
    "scene_graph": RegionClient.scene_graph,
    "list_regions": RegionClient.list_regions,
    "wait_until_ready": RegionClient.wait_until_ready,
}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("query", {"text": None}),
        ("query", {"text": 5}),
        ("query", {"text": "?", "region_ids": "17"}),
        ("query", {"text": "?", "timeout": -1.0}),
        ("stream", {"text": "?", "on_token": 5}),
        ("stream", {"text": "?", "cancel": True}),
        ("stream", {"text": "?", "timeout": math.nan}),
        ("describe", {"region_ids": [1]}),
        ("describe", {"max_tokens": 1.5}),
        ("scene_graph", {"predicates": "inside"}),
        ("scene_graph", {"threshold": "high"}),
        ("list_regions", {"with_masks": 1}),
        ("list_regions", {"with_masks": "no"}),
        ("list_regions", {"stamp": 5}),
        ("list_regions", {"timeout": "5"}),
        ("list_regions", {"timeout": math.inf}),
        ("wait_until_ready", {"timeout": None}),
        ("wait_until_ready", {"timeout": math.nan}),
    ],
)
def test_every_call_checks_before_it_needs_a_node(call: str, arguments: dict[str, Any]) -> None:
    nowhere = object.__new__(RegionClient)
    with pytest.raises((TypeError, ValueError), match=f"^{[*arguments][-1]}"):
        CALLS[call](nowhere, **arguments)
