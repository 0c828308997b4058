# SPDX-License-Identifier: Apache-2.0
"""Many planners at once, each a process: every request gets exactly one reply, and nobody starves."""

from __future__ import annotations

import sys
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile

from gar_ros.errors import ErrorCode
from tests.processes import ChildProcess, StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, wait_until

QUESTION = "What is <Prompt0>?"

PLANNER = """
import sys, threading, time, rclpy
from pathlib import Path
from rclpy.action.client import ActionClient
from rclpy.qos import QoSProfile
from gar_ros.action import AskRegions
from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Question
from gar_ros.srv import QueryRegions
way, start, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
rclpy.init()
node = rclpy.create_node("planner_" + way)
ours = RegionClient(node)
ours.wait_until_ready(100.0)
question = Question(text="What is <Prompt0>?", region_ids=["1"], max_tokens=3, timeout=100.0)
deep = QoSProfile(depth=100)  # a client that doesn't look while it asks has to keep its replies
service = node.create_client(QueryRegions, "gar/query_regions", qos_profile=deep)
action = ActionClient(
    node, AskRegions, "gar/ask_regions", goal_service_qos_profile=deep, result_service_qos_profile=deep)
service.wait_for_service(100.0), action.wait_for_server(100.0)
codes = []
def fetch(future):
    future.result().get_result_async().add_done_callback(lambda done: codes.append(done.result().result.error_code))
def call(method):
    try:
        method(question.text, ["1"], max_tokens=3, timeout=100.0)
        codes.append(0)
    except GarError as error:
        codes.append(99 if "no reply" in error.message else int(error.code))
time.sleep(1.0)
print("ready", flush=True)
while not start.exists():
    time.sleep(0.005)
if way == "threads":
    threads = [threading.Thread(target=call, args=[(ours.query, ours.stream)[i % 2]]) for i in range(count)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
elif way == "service":
    for _ in range(count):
        service.call_async(QueryRegions.Request(question=question)).add_done_callback(
            lambda done: codes.append(done.result().error_code))
else:
    for _ in range(count):
        action.send_goal_async(AskRegions.Goal(question=question)).add_done_callback(fetch)
while len(codes) < count:
    rclpy.spin_once(node, timeout_sec=0.1)
print("codes", *codes, flush=True)
"""

FLOODER = """
import rclpy
from gar_ros.client import RegionClient
from gar_ros.msg import Question
from gar_ros.srv import QueryRegions
rclpy.init()
node = rclpy.create_node("flooder")
RegionClient(node).wait_until_ready(100.0)
client = node.create_client(QueryRegions, "gar/query_regions")
client.wait_for_service(100.0)
question = Question(text="What is <Prompt0>?", region_ids=["1"], max_tokens=8, timeout=100.0)
refused = 0
def ask(done=None):
    global refused
    if done is not None and done.result().error_code == 9:
        refused += 1
        if refused == 30:
            print("floods", flush=True)
    client.call_async(QueryRegions.Request(question=question)).add_done_callback(ask)
for _ in range(20):
    ask()
rclpy.spin(node)
"""


def values_of(robot: Robot) -> dict[str, str]:
    """The newest diagnostics."""
    (status,) = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1)).wait().status
    return {pair.key: pair.value for pair in status.values}


def codes_of(planner: ChildProcess) -> list[int]:
    """The outcomes of a planner's requests."""
    planner.wait_for_log("codes", PATIENCE)
    (line,) = (line for line in planner.log.splitlines() if line.startswith("codes"))
    return [int(code) for code in line.split()[1:]]


def test_every_request_of_a_burst_is_answered_or_refused(
    robot: Robot, slow_gar: GarStarter, start_process: StartProcess, tmp_path: Path
) -> None:
    slow_gar(**{"request.queue_size": 2, "request.max_age": PATIENCE, "diagnostics.rate": 10.0})
    start = tmp_path / "start"
    counts = {"service": 30, "action": 30, "threads": 24}
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        planners = [
            start_process(sys.executable, "-c", PLANNER, way, start, str(count)) for way, count in counts.items()
        ]
        for planner in planners:
            planner.wait_for_log("ready", PATIENCE)
        start.touch()
        codes = [codes_of(planner) for planner in planners]
        assert [len(one) for one in codes] == list(counts.values())
        outcomes = [code for one in codes for code in one]
        assert set(outcomes) == {ErrorCode.OK, ErrorCode.QUEUE_FULL}
        answered = outcomes.count(ErrorCode.OK)
        wait_until(lambda: values_of(robot)["requests answered"] == str(answered), lambda: "no request twice")
        assert values_of(robot)["requests dropped (queue full)"] == str(len(outcomes) - answered)


def test_one_that_floods_does_not_starve_the_others(
    robot: Robot, slow_gar: GarStarter, start_process: StartProcess
) -> None:
    slow_gar(**{"request.queue_size": 2, "request.max_age": PATIENCE})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.client.query(QUESTION, ["1"], max_tokens=1)  # so the numbers of their requests differ
        flooder = start_process(sys.executable, "-c", FLOODER)
        flooder.wait_for_log("floods", PATIENCE)
        for ask in (robot.client.query, robot.client.stream):
            for _ in range(3):
                assert ask(QUESTION, ["1"], max_tokens=1, timeout=PATIENCE).generated_tokens == 1
        assert robot.client.list_regions(timeout=PATIENCE).error_code == ErrorCode.OK
