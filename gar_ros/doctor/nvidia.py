# SPDX-License-Identifier: Apache-2.0
"""Judges the way to an NVIDIA GPU: driver, CUDA for Python, TensorRT, engines, ONNX Runtime's CUDA."""

from __future__ import annotations

from collections.abc import Iterator

from gar_ros.doctor.check import Check, size
from gar_ros.doctor.facts import Facts, Module

PARTS = ("NVIDIA driver", "CUDA for Python", "TensorRT", "engines")
"""What TensorRT needs, in the order in which it has to be mended."""

_DRIVER, _BINDINGS, _TENSORRT, _ENGINES = PARTS
OLDEST_TENSORRT = (10, 3)
_NOT_FOR_JETPACK = 11
"""The first major version of TensorRT that has no build for Jetson."""
_OLDEST_CUDA = 12
_GOOD_BINDINGS = (12, 9, 1)
_BETTER_BINDINGS = "better is cuda-python 12.9.1 or newer of CUDA's major version"
_DRIVERS = {12: "525", 13: "580"}
"""CUDA's major version -> the first driver on x86-64 that runs it."""
_AGAIN = "then run `gar doctor` again"


def checks(facts: Facts) -> Iterator[Check]:
    """In the order in which they have to be mended."""
    yield driver(facts)
    if facts.driver.gpu is None:
        yield from _idle(facts)
        return
    yield bindings(facts)
    yield tensorrt(facts)
    yield from engines(facts)
    yield onnx_runtime_cuda(facts)


def driver(facts: Facts) -> Check:
    """The driver and the GPU."""
    part, system, found = _DRIVER, facts.system, facts.driver
    gpu = found.gpu
    if gpu is not None:
        memory = "the host's memory" if gpu.integrated else f"{size(gpu.bytes)} of memory"
        what = (
            f"{system.kernel_driver or 'version unknown'}, runs CUDA {found.cuda}; {gpu.name}, {gpu.compute}, {memory}"
        )
        if _major(found.cuda) < _OLDEST_CUDA:
            return Check(part, "warning", f"{what}; expected CUDA {_OLDEST_CUDA} or newer", _newer_driver(facts))
        return Check(part, "ok", what)
    if found.problem or found.cuda:
        hidden = system.environment.get("CUDA_VISIBLE_DEVICES")
        if not found.problem and not system.nvidia_hardware and not system.jetson:
            return Check(part, "none", f"CUDA {found.cuda} is installed, and there is no GPU")
        reason = found.problem or "it shows no GPU"
        if hidden is not None:
            step = f"unset CUDA_VISIBLE_DEVICES, which is '{hidden}', {_AGAIN}"
        elif system.container:
            step = _start_container(facts)
        else:
            step = f"run `nvidia-smi` and mend what it says (after an update of the driver: reboot), {_AGAIN}"
        return Check(part, "warning", reason, step)
    if not (system.nvidia_hardware or system.jetson):
        return Check(part, "none", "there is no GPU of NVIDIA's")
    what = "there is a GPU of NVIDIA's, but no driver: libcuda.so.1 is not found"
    if system.container:
        return Check(part, "warning", f"{what} in this container", _start_container(facts))
    return Check(part, "warning", what, _newer_driver(facts))


def bindings(facts: Facts) -> Check:
    """cuda-python, whose major version must be the driver's."""
    part, found, major = _BINDINGS, facts.cuda_python, _major(facts.driver.cuda)
    wanted = ">=12.6.1,<13" if major == _OLDEST_CUDA else f">={major},<{major + 1}"
    step = f'pip install "cuda-python{wanted}", {_AGAIN}'
    if found.version and _major(found.version) != major:
        return Check(
            part, "warning", f"cuda-python {found.version}, but the driver runs CUDA {facts.driver.cuda}", step
        )
    old = _numbers(found.version, 3) < _GOOD_BINDINGS
    if found.problem:
        newer = f'pip install "cuda-python>=12.9.1,<13", {_AGAIN}'
        again = newer if old and found.version else step.replace("install", "install --force-reinstall", 1)
        return Check(
            part, "warning", f"cuda-python {found.version} doesn't work: {found.problem}".replace("  ", " "), again
        )
    if not found.version:
        return Check(part, "warning", "the package cuda-python is not installed", step)
    advice = f"; {_BETTER_BINDINGS}, which doesn't stop Python's threads while it waits for the GPU" if old else ""
    return Check(part, "ok", f"cuda-python {found.version}{advice}")


def tensorrt(facts: Facts) -> Check:
    """TensorRT, or TensorRT for RTX where the full one isn't installed."""
    found, name = facts.tensorrt, "TensorRT"
    if not found.version and not found.problem and (facts.tensorrt_rtx.version or facts.tensorrt_rtx.problem):
        found, name = facts.tensorrt_rtx, "TensorRT for RTX"
    if facts.system.jetson:
        return _of_jetson(facts, found, name)
    what, cuda = f"{name} {found.version}", _major(facts.driver.cuda)
    package = "tensorrt" if cuda > _OLDEST_CUDA else f"tensorrt-cu{cuda}"
    step = f'pip install "{package}>=10.3", {_AGAIN}'
    if not found.works:
        what = f"{name} can't be used: {found.problem}" if found.problem else "TensorRT is not installed"
        return Check(_TENSORRT, "warning", what, step)
    if name == "TensorRT" and _numbers(found.version) < OLDEST_TENSORRT:
        return Check(_TENSORRT, "warning", f"{what}; expected 10.3 or newer", step.replace("install", "install -U", 1))
    if found.cuda and _major(found.cuda) > cuda:
        step = _newer_driver(facts, _major(found.cuda))
        return Check(
            "TensorRT", "warning", f"{what} for CUDA {found.cuda}, but the driver runs {facts.driver.cuda}", step
        )
    return Check(_TENSORRT, "ok", what)


def _of_jetson(facts: Facts, found: Module, name: str) -> Check:
    """JetPack's own TensorRT is the only one for a Jetson."""
    part, system = _TENSORRT, facts.system
    apt = next((version for package, version in system.packages.items() if "libnvinfer" in package), "")
    if found.version and (_major(found.version) >= _NOT_FOR_JETPACK or name != "TensorRT"):
        package = "tensorrt" if name == "TensorRT" else "tensorrt_rtx"
        step = f"pip uninstall {package}, so that JetPack's own is found (apt install nvidia-jetpack), {_AGAIN}"
        return Check(part, "warning", f"{name} {found.version} is not for Jetson", step)
    if found.works and _numbers(found.version) >= OLDEST_TENSORRT:
        return Check(part, "ok", f"{name} {found.version}")
    if found.works or system.jetpack.startswith(("4", "5")):
        what = f"JetPack {system.jetpack or 'of unknown version'} has TensorRT {found.version or 'below 10.3'}"
        return Check(part, "warning", f"{what}; expected 10.3 or newer", f"flash JetPack 6 or newer, {_AGAIN}")
    if found.problem:
        return Check(
            part,
            "warning",
            f"TensorRT can't be used: {found.problem}",
            f"sudo apt install --reinstall python3-libnvinfer, {_AGAIN}",
        )
    if "python3-libnvinfer" in system.packages and system.venv and not system.sees_system_packages:
        step = f"python3 -m venv --system-site-packages '{system.venv}', which keeps what is installed in it, {_AGAIN}"
        return Check(part, "warning", f"apt has TensorRT {apt}, but this virtual environment doesn't see it", step)
    if "python3-libnvinfer" in system.packages:
        step = f"run gar_ros in the Python that JetPack comes with, {_AGAIN}"
        return Check(part, "warning", f"apt has TensorRT {apt}, but not for Python {system.python}", step)
    if system.container:
        step = "use an image with TensorRT in it, such as NVIDIA's l4t-tensorrt, and run `gar doctor` there"
        return Check(part, "warning", "TensorRT is not in this container", step)
    return Check(part, "warning", "TensorRT is not installed", f"sudo apt install nvidia-jetpack, {_AGAIN}")


def engines(facts: Facts) -> Iterator[Check]:
    """Whether TensorRT takes the model, and has its engines."""
    part, model = _ENGINES, facts.model
    if model is None or model.problem or facts.engines is None:
        return
    found = facts.engines
    if found.problem:
        yield Check(part, "warning", found.problem, f"mend what the line of the engines says, {_AGAIN}")
    elif found.refused:
        step = "gar export --checkpoint .. --out .. --precision fp16, on a machine with torch; copy the folder here"
        yield Check(part, "warning", found.refused, step)
    elif found.missing:
        step = f"gar build-engine {model.folder}, once, on this machine"
        yield Check(part, "warning", f"{len(found.missing)} of 3 are not there: {found.missing[0]}", step)
    else:
        yield Check(part, "ok", "all engines of the model for this GPU are there")


def onnx_runtime_cuda(facts: Facts) -> Check:
    """The provider `cuda`, which is needed only where TensorRT doesn't serve."""
    part, found = "ONNX Runtime's CUDA", facts.onnxruntime
    served = facts.choice.provider == "tensorrt"
    if "CUDAExecutionProvider" not in found.providers:
        where = (
            "PyPI has no onnxruntime-gpu for aarch64"
            if facts.system.arch == "aarch64"
            else ("pip install onnxruntime-gpu instead of onnxruntime would bring it")
        )
        return Check(part, "none", f"not in this onnxruntime; {where}; TensorRT doesn't need it")
    what, wanted = f"onnxruntime {found.version} for CUDA {found.cuda or 'of unknown version'}", _major(found.cuda)
    if wanted > _major(facts.driver.cuda):
        what += f", but the driver runs {facts.driver.cuda}"
        if served:
            return Check(part, "none", f"{what}; TensorRT serves without it")
        return Check(part, "warning", what, _newer_driver(facts, wanted))
    return Check(part, "ok", what)


def _idle(facts: Facts) -> Iterator[Check]:
    """What is installed and has no GPU to run on."""
    installed = {
        "cuda-python": facts.cuda_python,
        "TensorRT": facts.tensorrt,
        "TensorRT for RTX": facts.tensorrt_rtx,
    }
    there = [f"{name} {found.version}" for name, found in installed.items() if found.version]
    if there:
        found = facts.cuda_python.version
        raises = bool(found) and _numbers(found, 3) < _GOOD_BINDINGS
        advice = f"; {_BETTER_BINDINGS}, which doesn't raise where there is no driver" if raises else ""
        yield Check("CUDA and TensorRT", "none", f"{', '.join(there)}: installed, without a GPU to run on{advice}")


def _newer_driver(facts: Facts, major: int = _OLDEST_CUDA + 1) -> str:
    if facts.system.jetson:
        return f"sudo apt install nvidia-jetpack, {_AGAIN}"
    oldest = _DRIVERS.get(major)
    version = f" {oldest} or newer" if oldest else ""
    if facts.system.container:
        return f"install NVIDIA's driver{version} on the host of this container (CUDA {major}), {_AGAIN}"
    return f"install NVIDIA's driver{version} (CUDA {major}; Ubuntu: sudo ubuntu-drivers install), reboot, {_AGAIN}"


def _start_container(facts: Facts) -> str:
    option = "--runtime nvidia" if facts.system.jetson else "--gpus all"
    return f"start the container with `{option}` (NVIDIA Container Toolkit), {_AGAIN}"


def _major(version: str) -> int:
    return _numbers(version)[0]


def _numbers(version: str, count: int = 2) -> tuple[int, ...]:
    """The first numbers of a version; zeros where there are none."""
    parts = [int(part) if part.isdecimal() else 0 for part in version.split(".")[:count]]
    return (*parts, *[0] * (count - len(parts)))
