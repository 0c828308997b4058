# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several files here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.watch_bench import OVER, Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """What the tests of watches work at: an image has just been shown in which nothing holds yet."""
    bench = Bench()
    bench.show(0, "ball", "bowl")
    yield bench
    bench.worker.close(OVER)
