# SPDX-License-Identifier: Apache-2.0
"""Memory of one node that serves several cameras: the model is there once, each camera adds its images and caches.

    python -m tools.load.cameras [--model DIR] [--counts 1 2 4] [--out .runs/cameras]

For each count a node is started with so many simulated cameras (640x480, two images a second), and one question is
asked about the images of each. Prints a table of the memory before and after.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import rclpy

from gar_ros.client import RegionClient
from gar_ros.demo.__main__ import demo_environment
from gar_ros.errors import ErrorCode, GarError
from tools.soak.crew import Crew, Member

READY_SECONDS = 300.0
QUESTION, CHOICES = "What colour is <Prompt0>?", ("red", "blue")
QUESTIONS = 3
"""About each camera, each of them about another image."""
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures each count and prints the table."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    environment = demo_environment(options.domain, options.out)
    os.environ.update(environment)
    rclpy.init()
    print("| cameras | with the model loaded | all cameras asked |\n| --- | --- | --- |")
    for count in options.counts:
        loaded, asked = measure(options, environment, [f"c{number}" for number in range(count)])
        print(f"| {count} | {loaded / MIB:.0f} MiB | {asked / MIB:.0f} MiB |", flush=True)
    rclpy.shutdown()
    return 0


def measure(options: argparse.Namespace, environment: dict[str, str], cameras: Sequence[str]) -> tuple[int, int]:
    """Memory in bytes of a node that serves these cameras: before it has heard of an image, and after all answers."""
    node = rclpy.create_node(f"asker_of_{len(cameras)}")
    with Crew(list(_members(options, cameras)), environment, options.out) as crew:
        gar = crew.start("gar")
        clients = [RegionClient(node, f"gar/{camera}") for camera in cameras]
        for client in clients:
            _wait_until_active(client)
        loaded = resident(gar.pid)
        for camera in cameras:
            crew.start(camera)
        threads = [threading.Thread(target=_ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asked = resident(gar.pid)
    node.destroy_node()
    return loaded, asked


def _wait_until_active(client: RegionClient) -> None:
    """Returns when the node refuses requests for want of an image, and for nothing else."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            client.list_regions()
        except GarError as error:
            if error.code is ErrorCode.NO_FRAME:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the node is not active after {READY_SECONDS:g} s")


def _ask(client: RegionClient) -> None:
    for _ in range(QUESTIONS):
        regions = client.wait_until_ready(READY_SECONDS).regions
        client.query(QUESTION, [regions[0].id], choices=CHOICES, timeout=READY_SECONDS)


def resident(pid: int) -> int:
    """Bytes of a process that are in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _members(options: argparse.Namespace, cameras: Sequence[str]) -> Iterator[Member]:
    model = ["-p", f"model:={options.model}"] if options.model else []
    tiles = ["-p", f"request.max_tiles:={options.tiles}"]
    yield Member(
        "gar", "gar_ros.node.gar_node", ["--ros-args", "-p", f"cameras:=[{','.join(cameras)}]", *model, *tiles]
    )
    for seed, camera in enumerate(cameras):
        values = [part for one in (f"seed:={seed}", "rate:=2.0") for part in ("-p", one)]
        remaps = ["-r", f"__ns:=/{camera}", "-r", "image_raw:=image"]
        yield Member(camera, "gar_ros.demo.tabletop_camera", ["--ros-args", *values, *remaps])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tools.load.cameras", description="Memory of a node with several cameras.")
    parser.add_argument("--model", default="", help="model folder (default: the shipped gar-tiny)")
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 4], help="numbers of cameras (default: 1 2 4)")
    parser.add_argument("--tiles", type=int, default=0, help="most tiles of an image; 0: the model's limit")
    parser.add_argument("--out", type=Path, default=Path(".runs/cameras"), help="folder of the logs (%(default)s)")
    domain = 1 + os.getpid() % 101
    parser.add_argument("--domain", type=int, default=domain, help="ROS_DOMAIN_ID (default: differs from run to run)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
