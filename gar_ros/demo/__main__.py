# SPDX-License-Identifier: Apache-2.0
"""`python -m gar_ros.demo`: camera, GAR node and planner as three processes that talk over DDS on this machine only.

Every process is gone at the end, whatever happened. With `--gui` (or DEMO_GUI=1) all but the planner run on for rviz.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from gar_ros.files import shipped_paths

POLL_SECONDS = 0.1
GRACE_SECONDS = 6.0  # from SIGINT to SIGKILL
WITHOUT_CAMERA_SECONDS = 30.0  # what the planner gets to hear from the GAR node that images have stopped
TAIL_LINES = 25
INTERRUPTED = 130  # as shells report Ctrl-C
ROS_DOMAINS = 101  # higher ones use ports from the range that Linux gives to other connections


class Child:
    """One process in a group of its own, its output in a log file."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self.reported = False
        self._shown = 0  # bytes of the log that have been echoed
        with log.open("wb") as stream:
            # A group of its own, so that Ctrl-C in the terminal reaches it once only, in the order chosen here.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=os.setpgrp,
            )

    @property
    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.poll()

    def echo(self) -> None:
        """Prints the whole lines that came since the last call, the child's name before each."""
        with self.log.open("rb") as stream:
            stream.seek(self._shown)
            new = stream.read()
        new = new[: new.rfind(b"\n") + 1]
        self._shown += len(new)
        for line in new.decode(errors="replace").splitlines():
            say(line, self.name)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        with suppress(ProcessLookupError):  # already gone
            os.killpg(self.process.pid, number)

    def report_death(self) -> None:
        """Says that it ended before its time, with the last lines of its log."""
        self.reported = True
        say(f"{self.name} ended unexpectedly with exit code {self.code}; the end of {self.log}:")
        for line in self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
            say(f"  {line}")


class Children:
    """The started processes; leaving the context ends them all."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._all: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = [child for child in self._all if child.code is None]
        for child in reversed(running):  # the planner first: it needs the others
            child.send(signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and any(child.code is None for child in running):
            time.sleep(POLL_SECONDS)
        for child in running:
            if child.code is None:
                say(f"{child.name} ignored SIGINT for {GRACE_SECONDS:g} s: killed")
            elif child.code not in (0, INTERRUPTED, -signal.SIGINT):  # the last: while it was still importing
                say(f"{child.name} ended with exit code {child.code} on SIGINT; see {child.log}")
        for child in self._all:
            child.send(signal.SIGKILL)  # what its first process may have left behind, too
            child.process.wait()

    def start(self, name: str, module: str, arguments: Sequence[str]) -> Child:
        """Starts `python -m module` with this interpreter."""
        command = [sys.executable, "-m", module, *arguments]
        child = Child(name, command, self._environment, self._folder / f"{name}.log")
        self._all.append(child)
        return child

    def echo(self) -> None:
        """Prints what is new from each."""
        for child in self._all:
            child.echo()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; 0 when the planner got its answers."""
    options = _parse(arguments)
    stop = threading.Event()
    # A flag instead of an exception: clean-up can't be interrupted half way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    options.out.mkdir(parents=True, exist_ok=True)
    overlay = (options.out / "overlay.png").resolve()
    overlay.unlink(missing_ok=True)
    environment = demo_environment(options.domain, options.out)
    say(f"three processes on ROS domain {options.domain}, this machine only; their logs are in {options.out}/")
    with Children(environment, options.out) as children:
        code = _run(children, options, overlay, stop)
    if overlay.is_file():
        say(f"overlay picture: {overlay}")
    if code != INTERRUPTED:
        say("done" if code == 0 else f"failed (exit code {code})")
    return code


def say(line: str, name: str = "demo") -> None:
    """Prints a line of progress at once."""
    print(f"[{name:7}] {line}", flush=True)


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
    profile = shared_file("config/fastdds_shm.xml")
    if profile is not None:
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)
    return environment


def shared_file(name: str) -> Path | None:
    """A file of the package, None when it isn't installed."""
    return next(filter(Path.is_file, shipped_paths(name)), None)


def _run(children: Children, options: argparse.Namespace, overlay: Path, stop: threading.Event) -> int:
    """Starts the three, waits for the planner, and in GUI mode for Ctrl-C."""
    seed = {} if options.seed is None else {"seed": options.seed}
    model = {} if options.model is None else {"model": str(options.model.resolve())}
    tasks = {"questions": options.questions, "required": options.required, "overlay": str(overlay)}
    camera = children.start("camera", "gar_ros.demo.tabletop_camera", ros_arguments(seed))
    gar = children.start("gar", "gar_ros.node.gar_node", [*ros_arguments(model), "-r", "image:=image_raw"])
    planner = children.start("planner", "gar_ros.demo.planner", ros_arguments({**seed, **tasks}))
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
        _stay(children, (camera, gar), options.domain, stop)
    return planner.code


def _stay(children: Children, living: Sequence[Child], domain: int, stop: threading.Event) -> None:
    """Keeps camera and GAR node running until Ctrl-C."""
    rviz = shared_file("rviz/gar.rviz")
    say("camera and GAR node run on until Ctrl-C. To look at them, in a shell with ROS 2 Jazzy:")
    say(f"  ROS_DOMAIN_ID={domain} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST rviz2 -d {shlex.quote(str(rviz))}")
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
    parser.add_argument("--questions", type=int, default=20, help="how many to ask")
    parser.add_argument("--required", type=float, default=0.9, help="fraction of answers that must be right, 0..1")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the whole demo")
    parser.add_argument(
        "--domain",
        type=int,
        default=1 + os.getpid() % ROS_DOMAINS,
        help="ROS_DOMAIN_ID (default: differs from run to run)",
    )
    parser.add_argument(
        "--gui", action="store_true", default=os.environ.get("DEMO_GUI", "0") not in ("", "0"), help="run on for rviz"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
