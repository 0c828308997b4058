# SPDX-License-Identifier: Apache-2.0
"""The torch model and the exported graphs against what the released code computed, from picture to generated ids.

The largest difference of each stage is told at the end of the test run. Tolerances: golden/README.md for float32 torch,
ten times those for the graphs; generated ids are equal.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gar_export.config import GarConfig
from gar_export.tokens import prompt_builder
from tests.engine.golden import CASES
from tests.export.conftest import LoadModel
from tests.export.parity import OnnxSide, Side, TorchSide, differences
from tests.fixtures_export import ByName, OpenEngine
from tests.fixtures_golden import FindCase
from tests.parity_table import ParityTable

OpenSide = Callable[[str], Side]


@pytest.fixture(scope="module", params=["torch", "ONNX"])
def open_side(
    request: pytest.FixtureRequest, golden_checkpoint: ByName, golden_model: LoadModel, golden_engine: OpenEngine
) -> OpenSide:
    """Of the golden checkpoint of that name."""

    def torch_side(name: str) -> Side:
        folder = golden_checkpoint(name)
        return TorchSide(golden_model(name), prompt_builder(folder, GarConfig.read(folder)))

    def onnx_side(name: str) -> Side:
        return OnnxSide(golden_engine(name))

    return torch_side if request.param == "torch" else onnx_side


@pytest.mark.parametrize("name", CASES)
def test_every_stage_equals_the_released_code(
    open_side: OpenSide, golden_case: FindCase, parity_table: ParityTable, name: str
) -> None:
    case = golden_case(name)
    side = open_side(case.info["checkpoint"])
    failed = []
    for difference in differences(case, side):
        parity_table.add(side.name, name, difference)
        if not difference.passed:
            failed.append(difference)
    assert failed == []
