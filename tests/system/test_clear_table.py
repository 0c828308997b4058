# SPDX-License-Identifier: Apache-2.0
"""The example planner beside the shipped model and the simulated tabletop, as three processes.

Which moment of the moving scene the example looks at is the clock's choice, so its order has to be right at every
moment: tests/demo/test_clear_table_scenes.py holds the margin. Cameras of other tests are kept out by `ros_domain`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.processes import StartProcess
from tests.system.robot import PATIENCE

EXAMPLE = Path(__file__).parents[2] / "examples" / "clear_table.py"


@pytest.mark.parametrize(("seed", "fact"), [(11, "(inside region_5 region_3)"), (33, "(on_top_of region_4 region_3)")])
def test_the_pick_order_is_right_for_the_simulated_table(
    start_process: StartProcess, checkout: Path, seed: int, fact: str
) -> None:
    camera = ["-p", f"seed:={seed}", "-p", "rate:=2.0"]
    start_process(sys.executable, "-m", "gar_ros.demo.tabletop_camera", "--ros-args", *camera)
    start_process(sys.executable, "-m", "gar_ros.node.gar_node", "--ros-args", "-r", "image:=image_raw")
    python_path = f"{checkout}:{os.environ.get('PYTHONPATH', '')}"
    example = start_process(sys.executable, EXAMPLE, "--seed", str(seed), env={"PYTHONPATH": python_path})
    assert example.wait(PATIENCE) == 0, example.log
    lines = example.log.splitlines()
    picked = [line.split()[-1] for line in lines if ". pick region " in line]
    assert len(picked) == len(set(picked)) >= 6
    assert fact in example.log  # so there was something to get wrong
    assert "the simulator agrees" in lines[-1]
