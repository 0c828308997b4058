# SPDX-License-Identifier: Apache-2.0
"""A planner, a process, that asks one closed question after another about the newest image and measures each."""

from __future__ import annotations

import sys
import time

import rclpy

from gar_ros.client import RegionClient
from gar_ros.errors import GarError
from tools.soak.journal import Journal

READY_SECONDS = 120.0
QUESTION, CHOICES = "Is <Prompt0> left of <Prompt1>?", ("yes", "no")


def main(arguments: list[str]) -> int:
    """Asks until it is killed. arguments: its journal, and the seconds between two questions."""
    journal, pause = Journal.append_to(arguments[0]), float(arguments[1])
    rclpy.init()
    node = rclpy.create_node("asker")
    client = RegionClient(node)
    client.wait_until_ready(READY_SECONDS)
    number = 0
    while node.context.ok():
        number += 1
        two = [str(1 + (number + more) % 6) for more in range(2)]
        begin = time.perf_counter()
        try:
            answer = client.query(QUESTION, two, choices=CHOICES)
        except GarError as error:
            journal.write(event="refused", code=error.code.name, message=error.message[:200])
            time.sleep(0.1)
            continue
        seconds = time.perf_counter() - begin
        journal.write(
            event="asked",
            seconds=round(seconds, 5),
            latency_ns=answer.latency.sec * 10**9 + answer.latency.nanosec,
            age=answer.age.sec + answer.age.nanosec / 1e9,
        )
        time.sleep(pause)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
