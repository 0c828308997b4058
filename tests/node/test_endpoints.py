# SPDX-License-Identifier: Apache-2.0
"""The interface files say what the code says."""

from __future__ import annotations

from typing import Any

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.memory.tracks import TrackState
from gar_ros.msg import ErrorCode as ErrorCodeMessage
from gar_ros.msg import Track
from gar_ros.node.endpoints import ACTIONS, DIAGNOSTICS, IMAGE, OVERLAY, SERVICES, Camera

REPLIES = [endpoint.type.Response for endpoint in SERVICES] + [endpoint.type.Result for endpoint in ACTIONS]


def constants(message: Any) -> dict[str, int]:
    """Those that the interface file declares; SLOT_TYPES is an attribute of every message class."""
    return {name: getattr(message, name) for name in dir(message) if name.isupper() and name != "SLOT_TYPES"}


@pytest.mark.parametrize(("message", "code"), [(ErrorCodeMessage, ErrorCode), (Track, TrackState)])
def test_a_message_has_exactly_the_constants_of_the_code(message: Any, code: Any) -> None:
    assert constants(message) == {member.name: int(member) for member in code}


@pytest.mark.parametrize("reply", REPLIES)
def test_every_reply_begins_with_the_outcome_and_repeats_no_constants(reply: Any) -> None:
    fields = list(reply.get_fields_and_field_types().items())
    assert fields[:2] == [("error_code", "uint16"), ("error_msg", "string")]
    assert constants(reply) == {}


def test_a_camera_has_its_name_before_that_of_each_topic() -> None:
    front = Camera("front")
    assert [front.of(endpoint).name for endpoint in (IMAGE, OVERLAY)] == ["front/image", "~/front/overlay"]
    assert front.of(IMAGE).type is IMAGE.type
    assert front.of(DIAGNOSTICS) is DIAGNOSTICS, "there is one for the node"
    assert front.door("tracking") == "tracking of camera front"


def test_the_only_camera_needs_no_name() -> None:
    assert Camera().of(OVERLAY) is OVERLAY
    assert Camera().door("tracking") == "tracking"
