# SPDX-License-Identifier: Apache-2.0
"""A watch on the simulated tabletop, where a ball is put into a bowl: told within one second of it, and not before."""

from __future__ import annotations

import sys

from gar_ros.action import WatchRegions
from gar_ros.demo.events import IN_TIME, lateness
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.messages.headers import stamp_ns
from gar_ros.sim.timeline import DEMO_SEED, Timeline
from tests.off_screen import skip_without_off_screen_opengl
from tests.processes import StartProcess
from tests.system.robot import PATIENCE, Robot, start_gar

INSIDE = "Is <Prompt0> inside <Prompt1>?"


def test_a_planner_is_told_when_a_ball_leaves_its_bowl_and_when_it_is_put_back(
    robot: Robot, start_process: StartProcess
) -> None:
    skip_without_off_screen_opengl()
    camera = ("-p", f"seed:={DEMO_SEED}", "-p", "carry:=true")
    start_process(sys.executable, "-m", "gar_ros.demo.tabletop_camera", "--ros-args", *camera, "-r", "image_raw:=image")
    start_gar(start_process, model=default_model_dir())
    timeline = Timeline(DEMO_SEED, carry=True)
    assert timeline.carrying is not None
    ids = [str(index + 1) for index in (timeline.carrying.item, timeline.carrying.bowl)]
    robot.client.wait_until_ready(PATIENCE)
    told: list[float | None] = []
    looks: list[WatchRegions.Feedback] = []
    for expected in ("yes", "no", "yes"):  # the first only until it is in the bowl
        answer = robot.client.watch(INSIDE, ids, looks.append, expected=expected, timeout=PATIENCE)
        told.append(lateness(timeline, stamp_ns(answer.header.stamp), comes_in=expected == "yes"))
    _, out, back = told
    assert out is not None
    assert out <= IN_TIME
    assert back is not None
    assert back <= IN_TIME
    assert len(looks) > 10
