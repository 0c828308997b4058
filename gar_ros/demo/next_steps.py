# SPDX-License-Identifier: Apache-2.0
"""What to try after the demo, as commands that work as printed where the demo was started."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from gar_ros.files import shipped

QUESTION = "What colour is <Prompt0>?"
RVIZ, EXAMPLE = "rviz/gar.rviz", "examples/clear_table.py"


def next_steps(out: Path) -> list[str]:
    """What to try once the demo has ended. out: its folder, with the picture and a mask for each region."""
    checkout = Path("Makefile").is_file() and Path("gar_ros/demo").is_dir()
    stay = f"DEMO_GUI=1 {made('demo')}" if checkout else command(Path(sys.executable), "-m", "gar_ros.demo", "--gui")
    steps = [stay, "  keeps camera and GAR node running, for rviz2 and your own planner"]
    gar, masks = Path(sys.executable).with_name("gar"), sorted(out.glob("mask_*.png"))
    if gar.is_file() and masks:
        steps += [
            command(gar, "ask", QUESTION, "--image", out / "camera.png", "--mask", masks[0]),
            "  asks about a picture without ROS",
        ]
    if checkout:
        steps += [made("test"), "  runs the tests", "README.md and docs/", "  tell how to run it on a robot"]
    return steps


def made(target: str) -> str:
    """A make command with the settings that make was given, such as ROS_DISTRO=kilted, where it started this."""
    return f"make {target} {os.environ.get('MAKEFLAGS', '').partition('-- ')[2]}".rstrip()


def while_it_runs(domain: int, seed: int | None) -> list[str]:
    """What to try while camera and GAR node run on. domain: their ROS_DOMAIN_ID. seed: None for DEMO_SEED."""
    from gar_ros.sim.timeline import DEMO_SEED  # not with the module: it loads MuJoCo

    here = f"ROS_DOMAIN_ID={domain} ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST "
    rviz, example = shipped(RVIZ), shipped(EXAMPLE)
    steps = []
    if rviz is not None:
        steps += [here + command("rviz2", "-d", rviz), "  in a shell with ROS 2 Jazzy"]
    request = f"{{question: {{text: '{QUESTION}', region_ids: ['1']}}}}"
    call = f'ros2 service call /gar/query_regions gar_ros/srv/QueryRegions "{request}"'
    steps += [here + call, "  in a shell that knows this package too (colcon build)"]
    if example is not None:
        seeded = ["--seed", str(DEMO_SEED if seed is None else seed), "--carry"]
        steps += [
            here + command(Path(sys.executable), example, *seeded),
            "  a planner of 80 lines that clears the table",
        ]
    return steps


def command(*words: str | Path) -> str:
    """A shell command; paths below the working folder are relative to it."""
    return " ".join(shlex.quote(_relative(word) if isinstance(word, Path) else word) for word in words)


def _relative(path: Path) -> str:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100, a venv's python is a link that must stay one
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)
