# SPDX-License-Identifier: Apache-2.0
"""What tests of subscriptions share: a ROS context, and what ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import rclpy
from rclpy.context import Context


@pytest.fixture
def lifetime() -> Iterator[ExitStack]:
    with ExitStack() as lifetime:
        yield lifetime


@pytest.fixture
def context(ros_domain: int, lifetime: ExitStack) -> Context:
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    lifetime.callback(rclpy.shutdown, context=context)
    return context
