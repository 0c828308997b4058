# SPDX-License-Identifier: Apache-2.0
"""The commands that the documentation shows exist and take the options and fields that it gives them."""

from __future__ import annotations

import argparse
import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from gar_ros.cli.main import COMMANDS
from tests.docs.markdown import markdown_files, shell_commands

CHECKOUT = Path(__file__).resolve().parents[2]
SHOWN = [
    pytest.param(words, id=f"{file.relative_to(CHECKOUT)}: {' '.join(words[:4])}")
    for file in markdown_files(CHECKOUT)
    for words in shell_commands(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("words", SHOWN)
def test_what_a_command_names_exists(checkout: Path, words: list[str]) -> None:
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (checkout / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    elif words[:4] == ["ros2", "run", "gar_ros", "gar"]:
        check_gar(words[4:])
    elif Path(words[0]).name == "gar":
        check_gar(words[1:])
    elif Path(words[0]).name == "python" and words[1] == "-m":
        assert find_spec(words[2]) is not None, words[2]
    elif Path(words[0]).name == "python" and words[1].endswith(".py"):
        assert (checkout / words[1]).is_file()
    elif words[:3] == ["ros2", "service", "call"]:
        check_fields(message(words[4]).Request, words[5:])
    elif words[:3] == ["ros2", "action", "send_goal"]:
        values = [word for word in words[3:] if not word.startswith("--")]
        check_fields(message(values[1]).Goal, values[2:])
    elif words[:3] == ["ros2", "launch", "gar_ros"]:
        names = dict.fromkeys((words[3], "gar.launch.py"))  # gar_yolo.launch.py takes the other one's arguments too
        launched = "".join((checkout / "launch" / name).read_text() for name in names)
        assert all(f'"{word.partition(":=")[0]}"' in launched for word in words[4:] if ":=" in word)


def check_gar(words: list[str]) -> None:
    """Parses the words as `gar` does, without running anything. What is wrong ends with SystemExit."""
    assert words[0] in COMMANDS
    parser = argparse.ArgumentParser()
    importlib.import_module(f"gar_ros.cli.{words[0].replace('-', '_')}").add_arguments(parser)
    parser.parse_args(words[1:])


def message(name: str) -> Any:
    """The class of a message, service or action: gar_ros/srv/ListRegions."""
    package, kind, type_name = name.split("/")
    if find_spec(package) is None:
        pytest.skip(f"{package}, a detector's package, is not installed")
    return getattr(importlib.import_module(f"{package}.{kind}"), type_name)


def check_fields(kind: Any, texts: list[str]) -> None:
    """Fills a message of this kind with what stands on the command line, if anything. An assertion of rclpy fails."""
    for text in texts:
        fill(kind(), yaml.safe_load(text))


def fill(target: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            fill(getattr(target, name), value)
        else:
            setattr(target, name, value)
