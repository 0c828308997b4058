# SPDX-License-Identifier: Apache-2.0
"""docker/compose.yaml: valid by the compose specification, and its containers can talk.

tests/system/test_compose.py runs its commands.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.dockerfile import stages

Service = dict[str, Any]


@pytest.fixture
def services(checkout: Path) -> dict[str, Service]:
    """By their names; YAML has merged what they share."""
    found: dict[str, Service] = yaml.safe_load((checkout / "docker/compose.yaml").read_text())["services"]
    return found


def test_it_keeps_to_the_schema_of_the_compose_specification(checkout: Path) -> None:
    check = shutil.which("check-jsonschema", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if check is None:
        pytest.skip("check-jsonschema is not installed (requirements/dev.lock)")
    command = [check, "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"]
    checked = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_docker_reads_it(checkout: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker compose is not installed")
    command = [docker, "compose", "--file", "docker/compose.yaml", "config", "--quiet"]
    read = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert read.returncode == 0, read.stderr


def test_a_camera_the_node_and_a_planner(services: dict[str, Service], checkout: Path) -> None:
    assert sorted(services) == ["camera", "gar", "planner"]
    assert {name: service["build"]["target"] for name, service in services.items()} == {
        "camera": "demo",
        "gar": "robot",
        "planner": "demo",
    }
    for service in services.values():
        assert service["build"]["target"] in stages(checkout / "docker/Dockerfile")
        assert (checkout / "docker" / service["build"]["context"]).resolve() == checkout
        assert (checkout / service["build"]["dockerfile"]).is_file()


def test_who_shares_the_network_shares_the_memory(services: dict[str, Service]) -> None:
    """Fast DDS takes programs with the same network for programs of one machine, and sends through /dev/shm."""
    assert {(service["network_mode"], service["ipc"]) for service in services.values()} == {("host", "host")}


def test_all_run_as_one_user_in_one_domain(services: dict[str, Service]) -> None:
    """A user can't open another one's files in /dev/shm."""
    assert {service["build"]["args"]["GAR_UID"] for service in services.values()} == {"${GAR_UID:-1000}"}
    assert all(service["environment"] == services["gar"]["environment"] for service in services.values())


def test_the_fast_dds_profile_is_where_the_image_has_it(services: dict[str, Service], checkout: Path) -> None:
    profile = services["gar"]["environment"]["FASTRTPS_DEFAULT_PROFILES_FILE"]
    prefix = "/ws/install/gar_ros/share/gar_ros/"
    assert profile.startswith(prefix)
    assert (checkout / profile.removeprefix(prefix)).is_file()


def test_no_service_has_more_rights_than_it_needs(services: dict[str, Service]) -> None:
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service


def test_the_planner_waits_until_the_node_serves(services: dict[str, Service]) -> None:
    assert services["planner"]["depends_on"]["gar"] == {"condition": "service_healthy"}
