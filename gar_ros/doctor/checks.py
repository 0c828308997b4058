# SPDX-License-Identifier: Apache-2.0
"""Judges the facts of a machine: a line for each part, and the one next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gar_ros.doctor import nvidia
from gar_ros.doctor.check import Check, State, size
from gar_ros.doctor.facts import Facts, Model

_OLDEST_PYTHON = (3, 10)
_INSTALL_ALL = "pip install --no-deps -r requirements/robot.lock, into the Python that runs the node"
_ON_GPU = ("tensorrt", "cuda")


@dataclass(frozen=True)
class Report:
    """What is said of a machine. serves: whether a question can be answered. step: the one next step."""

    checks: tuple[Check, ...]
    serves: bool
    step: str


def report(facts: Facts) -> Report:
    """Of the errors the first is to be mended first, then the first of the warnings."""
    made = tuple(_checks(facts))
    return Report(made, bool(facts.choice.provider), _next_step(made, facts))


def _next_step(made: Sequence[Check], facts: Facts) -> str:
    *parts, choice = made
    if choice.state == "error" and "No module named" not in choice.found:
        # That nothing serves may come of any part, and then of the GPU's before ROS's.
        of_gpu = [check for check in parts if check.part in nvidia.PARTS]
        order = [*_of("error", parts), *of_gpu, choice, *parts]
    else:
        order = [*_of("error", made), *made]
    for check in order:
        if check.step:
            return check.step
    if facts.model is None:
        return "nothing is missing so far; run `gar doctor DIR` with the folder of your model"
    return (
        f"nothing is missing; `gar selftest {facts.model.folder}` compares what runs here with the CPU, and measures it"
    )


def _of(state: State, made: Sequence[Check]) -> list[Check]:
    return [check for check in made if check.state == state]


def _checks(facts: Facts) -> Iterator[Check]:
    yield _machine(facts)
    yield _onnxruntime(facts)
    yield from _model(facts)
    yield _ros(facts)
    yield from nvidia.checks(facts)
    yield _openvino(facts)
    yield _choice(facts)


def _machine(facts: Facts) -> Check:
    system = facts.system
    words = [system.name, system.arch, f"Python {system.python}"]
    if system.jetson:
        jetpack = f"JetPack {system.jetpack}" if system.jetpack else "JetPack of unknown version"
        words += [system.board or "Jetson", f"{jetpack}{f' (L4T {system.l4t})' if system.l4t else ''}"]
    if system.container:
        words.append("in a container")
    found = ", ".join(words)
    if tuple(int(part) for part in system.python.split(".")[:2]) < _OLDEST_PYTHON:
        return Check("machine", "error", found, "install Python 3.10 or newer, and gar_ros into it")
    return Check("machine", "ok", found)


def _onnxruntime(facts: Facts) -> Check:
    part, found = "ONNX Runtime", facts.onnxruntime
    if not found.works:
        if found.problem:
            wrong = f"it can't be imported: {found.problem}"
            return Check(part, "error", wrong, _step_for(found.problem, "pip install --force-reinstall onnxruntime"))
        return Check(part, "error", "the package onnxruntime is not installed", _INSTALL_ALL)
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in found.providers)
    what = f"{found.version}, providers {names}"
    if len(found.packages) > 1:
        # Both write the same folder: whichever was installed last is there, until one of them is uninstalled.
        kept = "onnxruntime-gpu" if facts.driver.gpu and facts.system.arch == "x86_64" else "onnxruntime"
        step = f"pip uninstall -y {' '.join(found.packages)}, then pip install {kept}"
        wrong = f"{what}; {' and '.join(found.packages)} are installed, which overwrite each other"
        return Check(part, "warning", wrong, step)
    return Check(part, "ok", what)


def _model(facts: Facts) -> Iterator[Check]:
    model = facts.model
    if model is None:
        return
    if model.problem:
        step = _step_for(model.problem, "mend the model folder as its line says: copy or export it again")
        yield Check("model", "error", model.problem, step)
        return
    types = ", ".join(f"{graph} {kind}" for graph, kind in model.dtypes.items())
    yield Check("model", "ok", f"{model.name}: {types}")
    yield from _memory(facts, model)


def _memory(facts: Facts, model: Model) -> Iterator[Check]:
    """Of what runs it: weights, and the largest question."""
    gpu = facts.driver.gpu if facts.choice.provider in _ON_GPU else None
    shared = gpu is None or gpu.integrated
    free = facts.system.free_bytes if shared else gpu.free_bytes if gpu else None
    where = "the host's memory" if shared else "the GPU's memory"
    needs = model.needs_gpu if gpu else model.needs_cpu
    if not needs:
        return
    most = f" (1 tile) to {size(needs[-1])} ({len(needs)} tiles)" if len(needs) > 1 else ""
    question = f"a question about {model.regions} regions {size(needs[0])}{most}"
    words = f"{size(model.weights)} for weights, and for {question}"
    if free is None:
        yield Check("memory", "none", f"needed are {words}; how much is free is not known")
        return
    what = f"{size(free)} of {where} are free; needed are {words}"
    fitting = sum(model.weights + need <= free for need in needs)
    if not fitting:
        step = "free memory, or export the model with a smaller --precision, then run `gar doctor` again"
        yield Check("memory", "warning", what, step)
    elif fitting < len(needs):
        step = f"set request.max_tiles to {max(fitting - model.thumbnail, 1)} (--max-tiles), or free memory"
        yield Check("memory", "warning", what, step)
    else:
        yield Check("memory", "ok", what)


def _ros(facts: Facts) -> Check:
    part, found, environment = "ROS 2", facts.ros, facts.system.environment
    distribution = environment.get("ROS_DISTRO", "")
    if not found.works:
        if found.problem:
            wanted = environment.get("RMW_IMPLEMENTATION")
            step = (
                f"install the middleware {wanted}, or unset RMW_IMPLEMENTATION" if wanted else "mend rclpy as it says"
            )
            return Check(part, "warning", f"rclpy can't be used: {found.problem}", step)
        if distribution:
            step = "build with --cmake-args -DGAR_PYTHON=.. for a Python that sees ROS's packages (docs/robot.md)"
            return Check(part, "warning", f"{distribution} is sourced, but this Python has no rclpy", step)
        return Check(
            part, "none", "there is no rclpy: `gar` runs, the node doesn't; source ROS's setup.bash to have it"
        )
    what = f"{distribution or 'distribution unknown'}, rclpy {found.version}, middleware {found.rmw}"
    what += f", domain {environment.get('ROS_DOMAIN_ID', '0')}"
    if found.interfaces:
        step = "colcon build --packages-select gar_ros, then source install/setup.bash"
        return Check(part, "warning", f"{what}; gar_ros's interfaces are not built: {found.interfaces}", step)
    return Check(part, "ok", what)


def _openvino(facts: Facts) -> Check:
    found = facts.openvino
    if found.problem:
        return Check("OpenVINO", "none", f"it can't be imported: {found.problem}")
    if found.version:
        return Check(
            "OpenVINO", "ok", f"{found.version.partition('-')[0]}: provider `openvino`, when asked for by name"
        )
    return Check("OpenVINO", "none", "not installed; on a CPU it reads images and prompts faster")


def _choice(facts: Facts) -> Check:
    part, found, engines = "provider auto", facts.choice, facts.engines
    if not found.provider:
        step = _step_for(found.problem, "mend what the line of `provider auto` says, then run `gar doctor` again")
        return Check(part, "error", f"nothing serves: {found.problem}", step)
    what = f"takes {found.provider} ({found.why})"
    if engines and found.provider != "tensorrt" and not (engines.problem or engines.refused or engines.missing):
        return Check(part, "warning", what, "mend what the line of `provider auto` says of TensorRT")
    return Check(part, "ok", what)


def _step_for(problem: str, otherwise: str) -> str:
    return _INSTALL_ALL if "No module named" in problem else otherwise
