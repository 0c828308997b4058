# SPDX-License-Identifier: Apache-2.0
"""Parameter files as `ros2 param dump` writes and `ros2 param load` reads them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.task import Future

from gar_ros.settings import PARAMETERS
from tests.processes import ChildProcess, StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot

QOS = {
    "qos_overrides./gar/overlay.publisher.depth": 3,
    "qos_overrides./gar/tracks.publisher.durability": "volatile",
    "qos_overrides./regions.subscription.reliability": "best_effort",
}
# What this machine can't do otherwise, or what the test needs: a node that activates itself and finds its model.
AS_BY_DEFAULT = {"autostart", "input.regions_type", "depth.target_frame", "bond.heartbeat_period"}
GIVEN: dict[str, Any] = {
    "runtime.provider": "cpu",
    "runtime.threads": 1,
    "cameras": [""],
    "input.class_names": ["", "mug", "yes", "2"],
    "graph.predicates": ["inside", "yes", "2"],
    "markers.predicates": ["inside", "no"],
}


def unusual(name: str, model: Path) -> Any:
    """A value that is not the parameter's default, as far as a node can start with it."""
    parameter = PARAMETERS[name]
    default: Any = parameter.default
    limits, choices = parameter.metadata["limits"], parameter.metadata["choices"]
    if name in AS_BY_DEFAULT or name in GIVEN:
        return GIVEN.get(name, default)
    if parameter.metadata["path"]:
        return str(model)
    if choices:
        return choices[1]
    if isinstance(default, bool):
        return not default
    return default + 1 if default + 1 <= limits[1] else default / 2


class ParameterClient:
    """The parameter services of /gar, as the ros2 tools call them."""

    def __init__(self, robot: Robot) -> None:
        self._client = AsyncParameterClient(robot.node, "gar")
        assert self._client.wait_for_services(PATIENCE)

    def values(self) -> dict[str, Any]:
        """Every parameter's value by its name."""
        names = sorted(_result(self._client.list_parameters([], 0)).result.names)
        values = _result(self._client.get_parameters(names)).values
        assert len(values) == len(names), "a parameter without a value makes the service answer nothing"
        return {name: parameter_value_to_python(value) for name, value in zip(names, values, strict=True)}

    def set(self, values: dict[str, Any]) -> dict[str, str]:
        """Sets these parameters; the reasons of those that were refused, by name."""
        given = [Parameter(name, value=value) for name, value in values.items()]
        results = _result(self._client.set_parameters(given)).results
        return {name: result.reason for name, result in zip(values, results, strict=True) if not result.successful}


def _result(future: Future) -> Any:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE), "no answer from the parameter services"
    return future.result()


def dumped(values: dict[str, Any]) -> str:
    """A parameter file in the layout of `ros2 param dump /gar`: names nested at their dots."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, own = name.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[own] = value
    return yaml.dump({"/gar": {"ros__parameters": tree}}, default_flow_style=False)


def start_with(start_process: StartProcess, params_file: Path) -> ChildProcess:
    """A node of its own with a parameter file."""
    return start_process(sys.executable, "-m", "gar_ros.node.gar_node", "--ros-args", "--params-file", params_file)


def test_a_dumped_file_starts_the_node_as_it_was(
    robot: Robot, start_process: StartProcess, model_dir: Path, tmp_path: Path
) -> None:
    params_file = tmp_path / "gar.yaml"
    given = {name: unusual(name, model_dir) for name in PARAMETERS} | QOS
    params_file.write_text(dumped(given))
    node = start_with(start_process, params_file)
    robot.wait_for_state("active")
    before = ParameterClient(robot).values()
    assert {name: before[name] for name in given} == given
    assert node.interrupt(PATIENCE) == 0

    params_file.write_text(dumped(before))
    start_with(start_process, params_file)
    robot.wait_for_state("active")
    assert ParameterClient(robot).values() == before


@pytest.mark.parametrize("autostart", [True, False])
def test_every_parameter_may_be_set_to_the_value_that_it_has(robot: Robot, gar: GarStarter, autostart: bool) -> None:
    gar(autostart=autostart)
    robot.wait_for_state("active" if autostart else "unconfigured")
    client = ParameterClient(robot)
    values = client.values()
    assert client.set(values) == {}
    assert client.values() == values


def test_another_value_is_refused_where_it_can_not_take_effect(robot: Robot, gar: GarStarter) -> None:
    gar()
    robot.wait_for_state("active")
    client = ParameterClient(robot)
    others = {
        "request.queue_size": 3,
        "memory.frames_kept": 3,
        "start_type_description_service": False,
        "qos_overrides./gar/overlay.publisher.depth": 9,
        "qos_overrides./image.subscription.reliability": "reliable",
    }
    before = client.values()
    assert set(client.set(others)) == set(others)
    assert client.values() == before


def test_the_real_ros2_param_dumps_and_loads(
    robot: Robot, gar: GarStarter, start_process: StartProcess, ros2: str, tmp_path: Path
) -> None:
    node = gar(**QOS)
    robot.wait_for_state("active")
    before = ParameterClient(robot).values()
    dump = start_process(ros2, "param", "dump", "--no-daemon", "--timeout", "60", "/gar")
    assert dump.wait(PATIENCE) == 0, dump.log
    params_file = tmp_path / "gar.yaml"
    params_file.write_text(dump.log)

    load = start_process(ros2, "param", "load", "--no-daemon", "--timeout", "60", "/gar", params_file)
    assert load.wait(PATIENCE) == 0, load.log
    assert load.log.count("successful") == len(before)
    assert "failed" not in load.log
    assert node.interrupt(PATIENCE) == 0

    start_with(start_process, params_file)
    robot.wait_for_state("active")
    assert ParameterClient(robot).values() == before
