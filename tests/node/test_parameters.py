# SPDX-License-Identifier: Apache-2.0
"""Parameters as a user meets them: overrides, bad values, and what may change when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.parameters import Parameters, TakesPresentValues
from gar_ros.settings import Settings


@pytest.fixture
def context(ros_domain: int) -> Iterator[Context]:
    """A ROS context of the test's own."""
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    yield context
    rclpy.shutdown(context=context)


def declared(context: Context, **overrides: Any) -> tuple[Node, Parameters]:
    """A node started with these overrides and its parameters."""
    given = [Parameter(name, value=value) for name, value in overrides.items()]
    node = TakesPresentValues("gar", context=context, parameter_overrides=given, start_parameter_services=False)
    return node, Parameters(node)


def test_defaults_are_those_of_the_settings(context: Context) -> None:
    assert declared(context)[1].read() == Settings()


OVERRIDES = {"request.queue_size": 3, "sync.policy": "approximate", "request.max_age": 0.5}


def test_overrides_win(context: Context) -> None:
    settings = declared(context, **OVERRIDES)[1].read()
    assert (settings.request.queue_size, settings.sync.policy, settings.request.max_age) == (3, "approximate", 0.5)


def test_a_float_may_be_written_without_its_point(context: Context) -> None:
    assert declared(context, **{"request.max_age": 3})[1].read().request.max_age == 3.0


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"request.queue_size": 0}, "queue_size"),
        ({"request.queue_size": "many"}, "queue_size"),
        ({"request.max_age": -1.0}, "max_age"),
        ({"request.max_age": -1}, "request.max_age: expected 0.01 to 100000, got -1"),
        ({"request.max_age": float("nan")}, "max_age"),
        ({"runtime.provider": "tensorrt-ort"}, "runtime.provider: there is no provider 'tensorrt-ort', which"),
        ({"sync.policy": "fuzzy"}, "sync.policy: expected one of exact, approximate, got 'fuzzy'"),
        ({"model": 7}, "model"),
        ({"cameras": "front"}, "cameras"),
        ({"cameras": ["front", "front"]}, "cameras: expected 1 to 16 different names, got ['front', 'front']"),
        ({"cameras": [f"c{number}" for number in range(17)]}, "cameras: expected 1 to 16 different names"),
        ({"cameras": ["left/front"]}, "cameras: expected names of at most 64 letters, digits and _"),
        ({"cameras": ["", "front"]}, "begin with a letter, got ''"),
        ({"cameras": ["2nd"]}, "begin with a letter, got '2nd'"),
        ({"cameras": ["Kamera_für_vorn"]}, "cameras: expected names of"),
    ],
)
def test_a_bad_override_is_told_when_the_parameters_are_read(
    context: Context, overrides: dict[str, Any], complaint: str
) -> None:
    _, parameters = declared(context, **overrides)
    with pytest.raises(GarError) as caught:
        parameters.read()
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert complaint in caught.value.message


def test_cameras_may_have_names_or_the_only_one_none(context: Context) -> None:
    assert declared(context, cameras=["front", "wrist_2"])[1].read().cameras == ("front", "wrist_2")


def test_an_empty_list_of_cameras_is_the_only_one_without_a_name(context: Context) -> None:
    empty = Parameter("cameras", Parameter.Type.NOT_SET)  # as ROS reads `cameras: []`
    node = TakesPresentValues("gar", context=context, parameter_overrides=[empty], start_parameter_services=False)
    assert Parameters(node).read().cameras == ("",)


def test_a_bad_override_can_be_corrected_without_a_restart(context: Context) -> None:
    node, parameters = declared(context, **{"sync.policy": "fuzzy"})
    assert node.set_parameters([Parameter("sync.policy", value="approximate")])[0].successful
    assert parameters.read().sync.policy == "approximate"


def test_a_bad_value_is_refused_when_it_is_set(context: Context) -> None:
    node, parameters = declared(context)
    result = node.set_parameters([Parameter("runtime.provider", value="abacus")])[0]
    assert not result.successful
    assert "expected one of auto" in result.reason
    assert parameters.read().runtime.provider == "auto"


def test_what_the_process_was_started_for_does_not_change(context: Context) -> None:
    node, _ = declared(context)
    assert not node.set_parameters([Parameter("request.queue_size", value=2)])[0].successful


def test_while_configured_only_some_parameters_change(context: Context) -> None:
    node, parameters = declared(context)
    parameters.locked = True
    refused = node.set_parameters([Parameter("memory.frames_kept", value=2)])[0]
    assert not refused.successful
    assert "only change while the node is unconfigured" in refused.reason
    assert node.set_parameters([Parameter("request.max_age", value=9.0)])[0].successful
    assert parameters.read() == Settings.of({"request.max_age": 9.0})


@pytest.mark.parametrize(
    ("name", "present", "other"),
    [
        ("request.queue_size", 8, 9),  # read-only
        ("autostart", True, False),
        ("start_type_description_service", True, False),  # ROS's own
        ("memory.frames_kept", 10, 11),  # locked while configured
        ("features.max_age", 60, 61),  # a float without its point
        ("model", "", "~/gar"),
    ],
)
def test_the_present_value_is_accepted_where_another_is_refused(
    context: Context, name: str, present: Any, other: Any
) -> None:
    node, parameters = declared(context)
    parameters.locked = True
    assert node.set_parameters_atomically([Parameter(name, value=present)]).successful
    refused = node.set_parameters_atomically([Parameter(name, value=other)])
    assert not refused.successful
    assert name in refused.reason


def test_what_changes_is_set_beside_what_does_not(context: Context) -> None:
    node, parameters = declared(context)
    parameters.locked = True
    given: dict[str, Any] = {"request.queue_size": 8, "memory.frames_kept": 10, "request.timeout": 5.0}
    given["graph.predicates"] = ["inside"]
    assert node.set_parameters_atomically([Parameter(name, value=value) for name, value in given.items()]).successful
    assert parameters.read() == Settings.of(given)
    both: list[Any] = [Parameter("request.timeout", value=6.0), Parameter("request.queue_size", value=9)]
    assert not node.set_parameters_atomically(both).successful
    assert parameters.read().request.timeout == 5.0


def test_another_type_is_another_value(context: Context) -> None:
    node, _ = declared(context)
    assert not node.set_parameters_atomically([Parameter("autostart", value=1)]).successful


def test_every_parameter_describes_itself(context: Context) -> None:
    node, _ = declared(context)
    descriptor = node.describe_parameter("request.max_age")
    assert descriptor.description.endswith("[s]")
    assert descriptor.floating_point_range[0].to_value == 1e5
    assert node.describe_parameter("sync.policy").additional_constraints == "exact, approximate"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("request.max_agee", "request.max_age"), ("queue_size", "request.queue_size"), ("sync", "sync.policy")],
)
def test_a_parameter_that_does_not_exist_is_named_in_log_and_diagnostics(
    context: Context, capfd: pytest.CaptureFixture[str], given: str, nearest: str
) -> None:
    _, parameters = declared(context, **{given: 3, "request.max_tokens": 3})
    told = f"does not exist and has no effect; the nearest name is '{nearest}'"
    assert parameters.health() == {f"parameter '{given}'": told}
    assert capfd.readouterr().err.count(f"parameter '{given}' {told}") == 1
    assert parameters.read().request.max_tokens == 3
