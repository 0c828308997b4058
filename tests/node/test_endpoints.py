"""The interface files say what the code says."""

from __future__ import annotations

from typing import Any

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.node.endpoints import ACTIONS, SERVICES

REPLIES = [endpoint.type.Response for endpoint in SERVICES] + [endpoint.type.Result for endpoint in ACTIONS]


@pytest.mark.parametrize("reply", REPLIES)
def test_every_reply_has_exactly_the_error_codes_of_the_code(reply: Any) -> None:
    constants = {name: getattr(reply, name) for name in dir(reply) if name.isupper()}
    del constants["SLOT_TYPES"]  # every message class has it
    assert constants == {code.name: int(code) for code in ErrorCode}
