# SPDX-License-Identifier: Apache-2.0
"""Faults of the model folder, the runtime and the worker, as docs/faults.md tells them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition

from gar_ros.errors import ErrorCode
from tests.system.conftest import GarStarter
from tests.system.doctor import Doctor
from tests.system.robot import PATIENCE, Robot, labelled_scene, refusal, wait_for, wait_until


def ask(robot: Robot) -> int:
    """The number of tokens of a new answer; each time about another image, so that nothing is remembered."""
    return int(robot.client.query("What is <Prompt0>?", ["1"], max_tokens=3, timeout=PATIENCE).generated_tokens)


@pytest.fixture
def own_model(model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(model_dir, tmp_path / "model"))


def truncate(file: Path) -> None:
    """As a copy that ran out of space leaves it."""
    os.truncate(file, file.stat().st_size // 2)


def tamper(file: Path) -> None:
    """One byte in the middle is another one."""
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 2)
        (byte,) = content.read(1)
        content.seek(-1, os.SEEK_CUR)
        content.write(bytes([byte ^ 1]))


FILES = ["vision.onnx", "replay.onnx", "decoder.onnx", "embeddings.npy", "tokenizer.json"]


def test_a_damaged_model_is_refused_by_name_and_can_be_mended(
    robot: Robot, gar: GarStarter, own_model: Path, model_dir: Path
) -> None:
    node = gar(model=own_model, autostart="false")
    robot.wait_for_state("unconfigured")
    for damage, reason in ((truncate, "is truncated"), (tamper, "is damaged or of another model")):
        for name in FILES:
            damage(own_model / name)
            assert not robot.transition(Transition.TRANSITION_CONFIGURE)
            code, message = refusal(lambda: ask(robot))
            assert code is ErrorCode.BAD_MODEL
            assert f"{name} {reason}" in message
            shutil.copy(model_dir / name, own_model / name)
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert "Traceback" not in node.log


@pytest.mark.parametrize(("damage", "told"), [(truncate, "truncated"), (tamper, "damaged")])
def test_a_model_that_is_damaged_while_it_is_used_answers_right_or_not_at_all(
    robot: Robot, gar: GarStarter, own_model: Path, model_dir: Path, damage: Callable[[Path], None], told: str
) -> None:
    node = gar(model=own_model)
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        assert ask(robot) == 3
        for name in FILES:
            damage(own_model / name)
        message = wait_for(lambda: ask(robot), ErrorCode.BAD_MODEL)
        assert "the model was changed while it was in use" in message and f" is {told}" in message
        for name in FILES:
            shutil.copy(model_dir / name, own_model / name)
        assert ask(robot) == 3
    assert node.is_running() and "Traceback" not in node.log


@pytest.mark.parametrize("graph", ["vision.onnx", "replay.onnx", "decoder.onnx"])
def test_a_session_that_fails_costs_one_request_only(robot: Robot, gar: GarStarter, tmp_path: Path, graph: str) -> None:
    env = {"GAR_FAILS": str(tmp_path)}
    node = gar(env=env, module="tests.system.broken_sessions_gar", **{"diagnostics.rate": 5.0})
    doctor, reason = Doctor(robot), f"a node of {graph} could not be run"
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        (tmp_path / graph).touch()
        code, message = refusal(lambda: ask(robot))
        assert code is ErrorCode.INTERNAL_ERROR
        assert reason in message
        # A warning that there is no image yet may still be on its way.
        wait_until(lambda: reason in doctor.wait_for(DiagnosticStatus.WARN).message)
        assert ask(robot) == 3
        doctor.wait_for(DiagnosticStatus.OK)
    assert reason in node.log


def test_a_request_too_large_for_memory_is_refused_before_it_is_computed(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"request.max_memory": 4})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        code, message = refusal(lambda: ask(robot))
        assert code is ErrorCode.INVALID_REQUEST
        assert "MiB of memory, but request.max_memory allows 4 MiB" in message
        assert [region.id for region in robot.client.list_regions().regions] == ["1", "7"], "the node serves on"
    assert "Traceback" not in node.log
