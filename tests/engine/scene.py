# SPDX-License-Identifier: Apache-2.0
"""A small picture of noise with two regions, and questions about them; conftest.py has its fixtures."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from gar_ros.engine.encoded_frame import Answer
from gar_ros.errors import ErrorCode, GarError

COLOUR, SIDE = "What colour is <Prompt0>?", "Is <Prompt0> left of <Prompt1>?"
WIDTH, HEIGHT = 64, 48


def without_times(answer: Answer) -> Answer:
    return dataclasses.replace(answer, seconds={})


def refused(code: ErrorCode, *words: str) -> Any:
    return pytest.raises(GarError, match=".*".join(map(re.escape, words)), check=lambda error: error.code == code)
