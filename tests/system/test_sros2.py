# SPDX-License-Identifier: Apache-2.0
"""With SROS2 the node serves those whom security/policy.xml allows, and nobody else.

It needs the program ros2 with its verbs `security`, and a DDS that was built with security: apt's is, PyPI's isn't.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.processes import ChildProcess, StartProcess

ENCLAVES = ("gar", "planner", "viewer")
NO_SECURITY = "doesn't have the security libraries"
FILES = (
    "cert.pem", "governance.p7s", "identity_ca.cert.pem", "key.pem", "permissions.p7s", "permissions_ca.cert.pem",
)  # fmt: skip
"""Of an enclave, as rcl looks for them."""


def secured(keystore: Path) -> dict[str, str]:
    """The environment in which every process must be secure."""
    return {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(keystore),
    }


def start_node(start_process: StartProcess, environment: Mapping[str, str]) -> ChildProcess:
    """The node in its enclave."""
    command = (sys.executable, "-m", "gar_ros.node.gar_node", "--ros-args", "--enclave", "/gar")
    return start_process(*command, env=environment)


@pytest.fixture
def keystore(start_process: StartProcess, tmp_path: Path, checkout: Path, request: pytest.FixtureRequest) -> Path:
    """One with the enclaves of the policy, made as docs/security.md says."""
    empty = tmp_path / "empty"
    (empty / "enclaves/gar").mkdir(parents=True)
    for name in FILES:
        (empty / "enclaves/gar" / name).touch()
    trial = start_node(start_process, secured(empty))
    assert trial.wait(timeout=60) != 0, "a node without keys must not start"
    if NO_SECURITY in trial.log:
        pytest.skip(f"this DDS was built without security; it says: {NO_SECURITY}")
    ros2 = request.getfixturevalue("ros2")
    if subprocess.run([ros2, "security", "--help"], capture_output=True).returncode != 0:
        pytest.skip("ros2 has no verb `security` (apt: ros-jazzy-sros2)")
    folder = tmp_path / "keystore"
    commands: list[list[str | Path]] = [["create_keystore", folder]]
    for enclave in ENCLAVES:
        commands += [["create_enclave", folder, f"/{enclave}"]]
        commands += [["create_permission", folder, f"/{enclave}", checkout / "security/policy.xml"]]
    for command in commands:
        subprocess.run([ros2, "security", *command], check=True, capture_output=True)
    return folder


def asked(start_process: StartProcess, environment: Mapping[str, str], *arguments: str) -> str:
    """How a planner fares: `served` or `refused`."""
    planner = start_process(sys.executable, "-m", "tests.system.secure_planner", *arguments, env=environment)
    assert planner.wait(timeout=120) == 0, planner.log
    return planner.log.splitlines()[-1]


def test_an_allowed_planner_is_served_and_others_are_not(start_process: StartProcess, keystore: Path) -> None:
    node = start_node(start_process, secured(keystore))
    node.wait_for_log("activate: done", 60)
    as_viewer = ("--ros-args", "--enclave", "/viewer", "--remap", "__node:=rviz")
    assert asked(start_process, secured(keystore), "--ros-args", "--enclave", "/planner") == "served"
    assert asked(start_process, secured(keystore), *as_viewer) == "refused"
    assert asked(start_process, {"ROS_SECURITY_ENABLE": "false"}) == "refused"
    assert asked(start_process, secured(keystore), "--ros-args", "--enclave", "/planner") == "served"
    assert node.interrupt(timeout=60) == 0, node.log


def test_a_node_that_must_be_secure_does_not_start_without_keys(start_process: StartProcess, tmp_path: Path) -> None:
    node = start_node(start_process, secured(tmp_path))
    assert node.wait(timeout=60) != 0
    assert "SECURITY ERROR" in node.log
