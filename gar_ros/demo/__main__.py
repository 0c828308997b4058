# SPDX-License-Identifier: Apache-2.0
"""`python -m gar_ros.demo`: camera, GAR node and planner as three processes that talk over DDS on this machine only.

Every process is gone at the end, whatever happened. With `--gui` (or DEMO_GUI=1) all but the planner run on for rviz.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gar_ros.demo.console import say, table_width
from gar_ros.demo.next_steps import next_steps, while_it_runs
from gar_ros.demo.processes import INTERRUPTED, POLL_SECONDS, Child, Children
from gar_ros.files import install_prefixes, shipped

WITHOUT_CAMERA_SECONDS = 30.0  # what the planner gets to hear from the GAR node that images have stopped
ROS_DOMAINS = 101  # higher ones use ports from the range that Linux gives to other connections


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; 0 when the planner got its answers."""
    options = _parse(arguments)
    stop = threading.Event()
    # A flag instead of an exception: clean-up can't be interrupted half way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    for folder in (options.out, *([options.film.parent] if options.film else [])):
        folder.mkdir(parents=True, exist_ok=True)
    for old in (options.out / "overlay.png", options.out / "camera.png", *options.out.glob("mask_*.png")):
        old.unlink(missing_ok=True)
    environment = demo_environment(options.domain, options.out)
    say(f"three processes on ROS domain {options.domain}, this machine only; their logs are in {options.out}/")
    with Children(environment, options.out) as children:
        code = _run(children, options, stop)
    if code != INTERRUPTED:
        _close(options, code)
    return code


def _close(options: argparse.Namespace, code: int) -> None:
    """Tells what the demo has left behind and what to try next."""
    for name, file in (("overlay picture", options.out / "overlay.png"), ("film", options.film)):
        if file is not None and file.is_file():
            say(f"{name}: {file}")
    if code != 0:
        say(f"failed (exit code {code})")
        return
    say("done. What to try next:")
    for line in next_steps(options.out):
        say(f"  {line}")


def demo_environment(domain: int, out: Path) -> dict[str, str]:
    """Environment of the children: a DDS domain that stays on this machine, shared memory for large images."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str((out / "ros_log").resolve()),
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "{severity}: {message}",
        "PYTHONUNBUFFERED": "1",
    }
    environment.pop("ROS_LOCALHOST_ONLY", None)  # would win over the discovery range
    if (Path(sys.prefix) / "share" / "ament_index").is_dir():  # ROS from wheels: the venv is the ament prefix
        prefixes = [sys.prefix, *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(prefixes)
    profile = shipped("config/fastdds_shm.xml")
    if profile is not None:
        environment[_profiles_variable()] = str(profile)
    return environment


def _profiles_variable() -> str:
    """What names Fast DDS's profiles: its version 3, which Kilted has, warns of the name that version 2 needs."""
    version_3 = any((prefix / "share" / "fastdds").is_dir() for prefix in install_prefixes())
    return "FASTDDS_DEFAULT_PROFILES_FILE" if version_3 else "FASTRTPS_DEFAULT_PROFILES_FILE"


def _run(children: Children, options: argparse.Namespace, stop: threading.Event) -> int:
    """Starts the three, waits for the planner, and in GUI mode for Ctrl-C."""
    scene: dict[str, str | int | float] = {"carry": True} | ({} if options.seed is None else {"seed": options.seed})
    model = {} if options.model is None else {"model": str(options.model.resolve())}
    tasks = {"questions": options.questions, "required": options.required, "width": table_width()}
    tasks |= {"pictures": str(options.out.resolve()), "film": str(options.film.resolve()) if options.film else ""}
    camera = children.start("camera", "gar_ros.demo.tabletop_camera", ros_arguments(scene))
    gar = children.start("gar", "gar_ros.node.gar_node", [*ros_arguments(model), "-r", "image:=image_raw"])
    planner = children.start("planner", "gar_ros.demo.planner", ros_arguments({**scene, **tasks}))
    deadline = time.monotonic() + options.timeout
    while planner.code is None:
        if stop.wait(POLL_SECONDS):
            say("interrupted")
            return INTERRUPTED
        children.echo()
        if gar.code is not None:
            gar.report_death()
            return 1
        if camera.code is not None and not camera.reported:
            camera.report_death()
            say("the planner goes on: the GAR node's answers now say that the image is stale")
            deadline = min(deadline, time.monotonic() + WITHOUT_CAMERA_SECONDS)
        if time.monotonic() > deadline:
            say("gave up: the planner is not done in time")
            return 1
    children.echo()
    if options.gui:
        _stay(children, (camera, gar), options, stop)
    return planner.code


def _stay(children: Children, living: Sequence[Child], options: argparse.Namespace, stop: threading.Event) -> None:
    """Keeps camera and GAR node running until Ctrl-C."""
    say("camera and GAR node run on until Ctrl-C. What to try meanwhile:")
    for line in while_it_runs(options.domain, options.seed):
        say(f"  {line}")
    while not stop.wait(POLL_SECONDS):
        children.echo()
        for child in living:
            if child.code is not None and not child.reported:
                child.report_death()


def ros_arguments(parameters: Mapping[str, str | int | float]) -> list[str]:
    """Command line that sets a node's parameters; JSON scalars are YAML, which is what ROS reads."""
    settings = [f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
    return ["--ros-args", *(part for setting in settings for part in ("-p", setting))]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gar_ros.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for logs and the overlay picture")
    parser.add_argument("--model", type=Path, help="exported model folder (default: the shipped gar-tiny)")
    parser.add_argument("--seed", type=int, help="of the simulated scene and of the choice of questions")
    parser.add_argument("--questions", type=int, default=24, help="how many to ask in the first two chapters")
    parser.add_argument("--required", type=float, default=0.9, help="fraction of answers that must be right, 0..1")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the whole demo")
    parser.add_argument(
        "--domain",
        type=int,
        default=1 + os.getpid() % ROS_DOMAINS,
        help="ROS_DOMAIN_ID (default: differs from run to run)",
    )
    parser.add_argument("--film", type=Path, metavar="FILE", help="GIF file for a moving picture of the demo")
    parser.add_argument(
        "--gui", action="store_true", default=os.environ.get("DEMO_GUI", "0") not in ("", "0"), help="run on for rviz"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
