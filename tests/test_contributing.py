# SPDX-License-Identifier: Apache-2.0
"""What contributors are told to run exists, and the workflow runs what .ci/run and docs/robot.md run."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGES = ("CONTRIBUTING.md", "QUALITY_DECLARATION.md")
FORMS = ("bug_report.yml", "feature_request.yml")


def told(checkout: Path) -> dict[str, str]:
    """The texts that tell people and machines what to run, by file name."""
    files = [
        *checkout.glob("*.md"),
        *checkout.glob("docs/*.md"),
        *checkout.glob(".github/**/*.yml"),
        *checkout.glob(".github/*.md"),
        checkout / ".pre-commit-config.yaml",
        checkout / ".ci/run",
    ]
    return {str(file.relative_to(checkout)): file.read_text() for file in files}


def make_targets(text: str) -> set[str]:
    """The targets of the `make` commands in a text: those that begin a line (or a step's) or are marked as code."""
    commands = re.findall(r"(?:`|^\s*(?:- )?(?:run: )?)make ((?:[\w-]+(?:=[^\s`]+)?(?:[ `]|$))+)", text, re.MULTILINE)
    return {word for command in commands for word in re.findall(r"(?<!\S)[\w-]+(?=[ `]|$)", command)}


def made(checkout: Path, expression: str, *settings: str) -> str:
    """What make makes of an expression. settings: of its command line, such as NAME=value."""
    telling = f"told: ; @echo '{expression}'"
    command = ["make", "--no-print-directory", f"--eval={telling}", *settings, "told"]
    left_out = ("MAKEFLAGS", "MAKEOVERRIDES", "VENV")  # where make runs these tests
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment["ROS_DISTRO"] = "humble"  # as where somebody has sourced another ROS
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def workflow(checkout: Path) -> Any:
    return yaml.safe_load((checkout / ".github/workflows/ci.yml").read_text())


def steps(checkout: Path) -> list[str]:
    """The commands of all jobs of the workflow."""
    jobs = workflow(checkout)["jobs"].values()
    return [line.strip() for job in jobs for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_every_make_command_has_its_target(checkout: Path) -> None:
    known = set(re.findall(r"^([\w-]+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    texts = told(checkout)
    assert make_targets(texts["CONTRIBUTING.md"]) >= {"test", "test-all", "lint", "docs", "venv", "dev-venv"}
    unknown = {name: make_targets(text) - known for name, text in texts.items()}
    assert {name: targets for name, targets in unknown.items() if targets} == {}


def test_the_workflow_runs_the_steps_of_continuous_integration(checkout: Path) -> None:
    script = (checkout / ".ci/run").read_text()
    expected = make_targets(script) | set(re.findall(r"^run ([\w-]+)$", script, re.MULTILINE))
    assert expected == {"lint", "test", "export-venv", "test-rest"}
    assert make_targets("\n".join(steps(checkout))) == expected


def test_the_workflow_builds_as_a_robot_does(checkout: Path) -> None:
    """The commands of docs/robot.md, from rosdep to colcon's result."""
    page = (checkout / "docs/robot.md").read_text()
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "rosdep install" in block]
    commands = [line.partition("   #")[0].strip() for line in block.splitlines()]
    wanted = [line for line in commands if re.match(r"rosdep|python3 -m venv|\S*pip |colcon", line)]
    assert len(wanted) >= 5
    assert [command for command in wanted if command not in steps(checkout)] == []


def test_the_workflow_may_only_read(checkout: Path) -> None:
    assert workflow(checkout)["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow(checkout)["jobs"].values())


def test_programs_of_the_workflow_exist(checkout: Path) -> None:
    programs = re.findall(r"(?:src/gar_ros/)?((?:\.ci|scripts)/\w+(?:\.sh)?)", "\n".join(steps(checkout)))
    assert programs
    for program in programs:
        assert (checkout / program).stat().st_mode & 0o111, f"{program} can't be executed"


def test_the_hooks_are_the_checks_of_make_lint(checkout: Path) -> None:
    (local,) = yaml.safe_load((checkout / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"  # nothing is fetched but packages from PyPI
    hooks = {hook["entry"]: hook for hook in local["hooks"]}
    assert hooks["make lint"]["stages"] == ["pre-push"]
    programs = {entry.split()[0] for entry, hook in hooks.items() if hook["language"] == "system"}
    assert programs == {".venv/bin/ruff", "make"}
    assert made(checkout, "$(VENV)") == ".venv"


def test_editors_and_ruff_agree_on_the_length_of_lines(checkout: Path) -> None:
    editors = configparser.ConfigParser()
    editors.read_string("[top]\n" + (checkout / ".editorconfig").read_text())
    ruff = re.search(r"^line-length = (\d+)$", (checkout / "pyproject.toml").read_text(), re.MULTILINE)
    assert ruff
    assert editors["*"]["max_line_length"] == ruff[1]


def test_each_ros_has_a_lock_and_a_venv_of_its_own(checkout: Path) -> None:
    """Whatever ROS the shell knows: only make's command line chooses."""
    assert made(checkout, "$(ROS_DISTRO) $(VENV)") == "jazzy .venv"
    assert made(checkout, "$(ROS_DISTRO) $(VENV)", "ROS_DISTRO=kilted") == "kilted .venv-kilted"
    assert made(checkout, "$(VENV)", "ROS_DISTRO=kilted", "VENV=elsewhere") == "elsewhere"
    assert "expected jazzy or kilted" in made(checkout, "", "ROS_DISTRO=humble")


def test_no_venv_gets_two_ros(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / ".done").mkdir()
    (tmp_path / ".done/ros-kilted").touch()
    assert made(checkout, "$(VENV)", f"VENV={tmp_path}", "ROS_DISTRO=kilted") == str(tmp_path)
    assert f"{tmp_path} has ROS 2 kilted" in made(checkout, "", f"VENV={tmp_path}")


def test_the_workflow_tests_on_every_ros_that_has_a_lock(checkout: Path) -> None:
    locks = {lock.stem.removeprefix("ros-") for lock in (checkout / "requirements").glob("ros-*.lock")}
    tested = workflow(checkout)["jobs"]["test"]
    assert set(tested["strategy"]["matrix"]["ros"]) == locks == {"jazzy", "kilted"}
    runs = [step["run"] for step in tested["steps"] if "make" in step.get("run", "")]
    assert runs
    assert all("ROS_DISTRO=${{ matrix.ros }}" in run for run in runs)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_asks_each_question_once(checkout: Path, form: str) -> None:
    body = yaml.safe_load((checkout / ".github/ISSUE_TEMPLATE" / form).read_text())["body"]
    questions = [item for item in body if item["type"] != "markdown"]
    assert len({item["id"] for item in questions}) == len(questions)
    assert any(item.get("validations", {}).get("required") for item in questions)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_and_files_that_are_named_exist(checkout: Path, page: str) -> None:
    text = (checkout / page).read_text()
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    named = set(re.findall(r"`((?:docs|gar_ros|tests|export|requirements|\.github|\.ci)/[\w./-]+)`", text))
    assert links
    assert [path for path in sorted(links | named) if not (checkout / path).exists()] == []


def test_readme_leads_to_both_pages(checkout: Path) -> None:
    readme = (checkout / "README.md").read_text()
    assert [page for page in PAGES if f"]({page})" not in readme] == []
