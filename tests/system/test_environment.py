# SPDX-License-Identifier: Apache-2.0
"""Users without a home, or with one that can't be written, and model folders that were damaged: real processes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition

from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.errors import ErrorCode, GarError
from tests.processes import StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import Robot

NODE = "import sys; from gar_ros.node.gar_node import main; sys.exit(main())"
AS_ANOTHER = """
import encodings.ascii, os, sys
from gar_ros.engine.engine import GarEngine
from gar_ros.node.gar_node import main
GarEngine.open(sys.argv[-1].removeprefix("model:="), "cpu")  # Python itself may be where that user can't read
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
sys.exit(main())
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can read, with a model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(default_model_dir(), folder / "model", ignore=shutil.ignore_patterns("checkpoint"))
        yield folder


@pytest.mark.parametrize(
    ("home", "script"),
    [
        ((), NODE),
        (("HOME=/etc/passwd",), NODE),
        pytest.param(
            (), AS_ANOTHER, marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
        ),
    ],
)
def test_a_node_without_a_home_serves_and_says_where_its_log_is(
    start_process: StartProcess, public: Path, home: tuple[str, ...], script: str
) -> None:
    without = [part for name in ("HOME", "XDG_CACHE_HOME", "ROS_LOG_DIR", "USER", "LOGNAME") for part in ("-u", name)]
    command = ["env", *without, *home, sys.executable, "-c", script, "--ros-args", "-p", f"model:={public / 'model'}"]
    node = start_process(*command)
    node.wait_for_log("activate: done", 60)  # another user's processes share no memory with this one for DDS
    assert node.interrupt(timeout=60) == 0
    assert node.log.count("ROS can't write log files (") == 1
    assert "Traceback" not in node.log
    assert "[ERROR]" not in node.log
    shutil.rmtree(node.log.partition("they are in '")[2].partition("'")[0])


def test_a_damaged_model_is_one_line_and_the_node_goes_on(robot: Robot, gar: GarStarter, public: Path) -> None:
    decoder = public / "model" / DECODER
    whole = decoder.read_bytes()
    decoder.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    node = gar(model=public / "model")
    node.wait_for_log("can't configure: ", 60)
    robot.wait_for_state("unconfigured")
    with pytest.raises(GarError, match=r"decoder\.onnx is damaged or of another model") as caught:
        robot.client.query("What?", ["1"])
    assert caught.value.code is ErrorCode.BAD_MODEL
    assert [line for line in node.log.splitlines() if "[ERROR]" in line or "Traceback" in line] == [
        line for line in node.log.splitlines() if "can't configure: model folder" in line
    ]
    decoder.write_bytes(whole)
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    assert node.interrupt(timeout=60) == 0
