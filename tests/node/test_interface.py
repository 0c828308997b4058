"""The interface files say what the code says."""

from __future__ import annotations

from typing import Any

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.node.interface import SERVICES


@pytest.mark.parametrize("service", [endpoint.type for endpoint in SERVICES])
def test_every_service_has_exactly_the_error_codes_of_the_code(service: Any) -> None:
    constants = {name: getattr(service.Response, name) for name in dir(service.Response) if name.isupper()}
    del constants["SLOT_TYPES"]  # every message class has it
    assert constants == {code.name: int(code) for code in ErrorCode}
