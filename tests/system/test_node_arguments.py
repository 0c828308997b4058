# SPDX-License-Identifier: Apache-2.0
"""What the node makes of `--ros-args`: names that don't exist, log levels, paths of the user's home."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.processes import ChildProcess, StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, labelled_scene, start_gar


def start(start_process: StartProcess, *arguments: str | Path) -> ChildProcess:
    """A node that stays unconfigured, with these arguments after --ros-args."""
    node = [sys.executable, "-m", "gar_ros.node.gar_node", "--ros-args", "-p", "autostart:=false"]
    return start_process(*node, *arguments)


def test_names_that_do_not_exist_are_told_with_the_nearest_one(
    robot: Robot, start_process: StartProcess, tmp_path: Path
) -> None:
    """From a file, whether for all nodes or for this one, and from the command line; the others are silent."""
    params_file = tmp_path / "robot.yaml"
    params_file.write_text(
        "/**: {ros__parameters: {track_lost: 3.0, use_sim_time: false, sync: {slop: 0.1}}}\n"
        "/gar: {ros__parameters: {sync: {slopp: 0.1}, start_type_description_service: true,\n"
        "  qos_overrides: {/gar/overlay: {publisher: {depth: 2}}}}}\n"
        "/other: {ros__parameters: {their_own: 1}}\n"
    )
    node = start(start_process, "--params-file", params_file, "-p", "provider:=cpu")
    robot.wait_for_state("unconfigured")
    warnings = {line.partition("[gar]: ")[2] for line in node.log.splitlines() if "[WARN]" in line}
    told = "parameter '{}' does not exist and has no effect; the nearest name is '{}'"
    meant = {"track_lost": "tracking.lost_after", "sync.slopp": "sync.slop", "provider": "runtime.provider"}
    assert warnings == {told.format(name, nearest) for name, nearest in meant.items()}


def test_debug_messages_are_shown_where_the_ros_logger_shows_them(
    robot: Robot, start_process: StartProcess, model_dir: Path
) -> None:
    """Of the node and of its modules that know no ROS, but not of ROS itself."""
    parameters = ("-p", f"model:={model_dir}", "-p", "autostart:=true", "-p", "request.max_tiles:=1")
    node = start(start_process, *parameters, "--log-level", "gar:=debug")
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.client.query("What is <Prompt0>?", ["1"], max_tokens=1)
    node.wait_for_log("a request was replied to with OK after", PATIENCE)
    debug = [line for line in node.log.splitlines() if "[DEBUG]" in line]
    assert any("has its regions" in line for line in debug)
    assert all("[gar]: " in line for line in debug)


def test_debug_messages_are_not_shown_by_default(robot: Robot, gar: GarStarter) -> None:
    node = gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.client.query("What is <Prompt0>?", ["1"], max_tokens=1)
    assert node.interrupt(PATIENCE) == 0
    assert "[DEBUG]" not in node.log


def test_a_model_folder_of_the_users_home(robot: Robot, start_process: StartProcess, model_dir: Path) -> None:
    home, folder = model_dir.parent, model_dir.name
    start_gar(start_process, {"HOME": str(home)}, model=f"~/{folder}")
    robot.wait_for_state("active")


def test_a_model_folder_of_an_unknown_home_fails_configure(robot: Robot, start_process: StartProcess) -> None:
    node = start_gar(start_process, {"HOME": ""}, model="~/gar")
    node.wait_for_log("can't configure: model: can't expand the ~ of '~/gar': HOME is empty", PATIENCE)
    robot.wait_for_state("unconfigured")


def test_the_simulated_camera_says_what_to_install(start_process: StartProcess) -> None:
    without = (
        "import sys; sys.modules['mujoco'] = None; from gar_ros.demo.tabletop_camera import main; sys.exit(main())"
    )
    camera = start_process(sys.executable, "-c", without)
    assert camera.wait(PATIENCE) == 1
    (line,) = camera.log.splitlines()
    assert line.startswith("tabletop_camera: the simulated tabletop needs MuJoCo (pip install mujoco)")
