# SPDX-License-Identifier: Apache-2.0
"""What the demo prints to try next. tests/system/test_demo.py runs those commands that can be run anywhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import yaml

from gar_ros.demo.next_steps import command, next_steps, while_it_runs
from gar_ros.sim.timeline import DEMO_SEED
from gar_ros.srv import QueryRegions


def test_paths_below_the_working_folder_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("ls", tmp_path / "a b.png", Path("/etc/hosts")) == "ls 'a b.png' /etc/hosts"


@pytest.mark.parametrize(("flags", "settings"), [("", ""), ("n", ""), (" -- ROS_DISTRO=kilted", " ROS_DISTRO=kilted")])
def test_a_checkout_names_its_make_commands(
    flags: str, settings: str, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the settings that make was given, in which lies what it has installed."""
    monkeypatch.setenv("MAKEFLAGS", flags)
    monkeypatch.chdir(checkout)
    steps = next_steps(tmp_path)
    assert steps[0] == f"DEMO_GUI=1 make demo{settings}" and f"make test{settings}" in steps
    assert not any(" ask " in step for step in steps)  # there is no picture


def test_elsewhere_there_is_no_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert next_steps(tmp_path)[0] == f"{sys.executable} -m gar_ros.demo --gui"


def test_the_first_mask_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mask_4.png", "mask_2.png"):
        (tmp_path / name).touch()
    (ask,) = [step for step in next_steps(tmp_path) if " ask " in step]
    assert shlex.split(ask)[-4:] == ["--image", "camera.png", "--mask", "mask_2.png"]


def test_the_service_call_has_the_fields_of_the_service() -> None:
    (call,) = [step for step in while_it_runs(12, None) if "ros2 service call" in step]
    *_, name, kind, request = shlex.split(call)
    assert (name, kind) == ("/gar/query_regions", "gar_ros/srv/QueryRegions")
    fields = yaml.safe_load(request)["question"]
    assert set(fields) <= set(QueryRegions.Request().question.get_fields_and_field_types())
    assert fields["text"] == "What colour is <Prompt0>?" and fields["region_ids"] == ["1"]


def test_commands_for_the_running_demo_join_it() -> None:
    commands = while_it_runs(12, None)[::2]
    assert all(one.startswith("ROS_DOMAIN_ID=12 ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ") for one in commands)
    assert commands[-1].endswith(f"clear_table.py --seed {DEMO_SEED} --carry")
    assert while_it_runs(12, 7)[-2].endswith("--seed 7 --carry")
