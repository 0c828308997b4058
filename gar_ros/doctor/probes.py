# SPDX-License-Identifier: Apache-2.0
"""Each looks at one part of the machine, in a process of its own: a library that crashes takes nothing else along.

python -m gar_ros.doctor.probes NAME [ARGUMENT ..] prints the facts as one line of JSON.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gar_ros.doctor.driver import read_driver
from gar_ros.doctor.facts import Choice, Driver, Engines, Model, Module, OnnxRuntime, Ros
from gar_ros.errors import LEAVING, GarError, reason_of

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-qnn", "onnxruntime-training")
"""Packages of which each installs the folder `onnxruntime`."""
_DEVICE_BATCH = 16
"""Tiles that the vision graph gets in one run on a GPU."""


def driver() -> Driver:
    """NVIDIA's driver."""
    return read_driver()


def cuda_python() -> Module:
    """cuda.bindings.runtime, and whether it finds the driver."""
    module, found = _imported("cuda.bindings.runtime", "cuda-bindings", "cuda-python")
    if module is None:
        return found
    try:
        status, _ = module.cudaGetDeviceCount()
        if status == module.cudaError_t.cudaSuccess:
            return found
        _, text = module.cudaGetErrorString(status)
    except Exception as error:  # noqa: BLE001 before 12.9 it raises RuntimeError without a driver
        text = reason_of(error)
    return dataclasses.replace(found, problem=text.decode() if isinstance(text, bytes) else str(text))


def tensorrt() -> Module:
    """The full TensorRT."""
    return _tensorrt("tensorrt")


def tensorrt_rtx() -> Module:
    """TensorRT for RTX."""
    return _tensorrt("tensorrt_rtx")


def _tensorrt(name: str) -> Module:
    _, found = _imported(name)
    majors = [major for major in ("12", "13", "14") if _version_of(f"{name}_cu{major}", f"{name}_cu{major}_libs")]
    return dataclasses.replace(found, cuda=majors[-1] if majors else "")


def onnxruntime() -> OnnxRuntime:
    """ONNX Runtime and every package that brings it."""
    module, found = _imported("onnxruntime")
    packages = tuple(name for name in _RUNTIMES if _version_of(name))
    if module is None:
        return OnnxRuntime(found.version, found.problem, packages=packages)
    try:
        info = importlib.import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        info = None
    cuda = str(getattr(info, "cuda_version", "") or "")
    return OnnxRuntime(found.version, found.problem, cuda, packages, tuple(module.get_available_providers()))


def openvino() -> Module:
    """OpenVINO, imported as the engine does it: without its telemetry."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as Python's import system documents
    return _imported("openvino")[1]


def ros() -> Ros:
    """rclpy, its middleware, and this package's interfaces."""
    # By name, since nothing here may be needed to import this file.
    module, found = _imported("rclpy", "rclpy", "ros-jazzy-rclpy", "ros-kilted-rclpy")
    if module is None:
        return Ros(found.version, found.problem)
    try:
        middleware = str(importlib.import_module("rclpy.utilities").get_rmw_implementation_identifier())
    except LEAVING:
        raise
    except BaseException as error:  # noqa: BLE001 a middleware's library may raise anything
        return Ros(found.version, f"its middleware can't be loaded: {reason_of(error)}")
    return Ros(found.version, rmw=middleware, interfaces=_imported("gar_ros.msg")[1].problem or _without("gar_ros.msg"))


def _without(name: str) -> str:
    return "" if name in sys.modules else f"No module named '{name}'"


def model(folder: str) -> Model:
    """A model folder: what its manifest says, and what questions about it take."""
    from gar_ros.engine.cost import needed_bytes
    from gar_ros.engine.model_dir.folder import ModelDir
    from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION

    try:
        manifest = ModelDir.open(folder).manifest
    except GarError as error:
        return Model(folder, error.message)
    graphs = (VISION, REPLAY, DECODER)
    regions = len(manifest.tokens.prompts)
    counts = range(1, manifest.tiles.max_tiles + manifest.tiles.thumbnail + 1)
    return Model(
        folder=folder,
        name=manifest.name,
        dtypes={graph: manifest.dtypes.get(graph, "") for graph in graphs},
        weights=sum(entry.bytes for name, entry in manifest.files.items() if name.startswith(graphs)),
        regions=regions,
        thumbnail=manifest.tiles.thumbnail,
        needs_cpu=tuple(needed_bytes(manifest, tiles, regions, 1) for tiles in counts),
        needs_gpu=tuple(needed_bytes(manifest, tiles, regions, min(tiles, _DEVICE_BATCH)) for tiles in counts),
    )


def engines(folder: str, cache: str) -> Engines:
    """TensorRT's engines of a model for this machine's GPU. cache: their folder, empty for the default one."""
    from gar_ros.engine.model_dir.folder import ModelDir
    from gar_ros.engine.runtime.tensorrt.cache import EngineCache, default_cache_folder
    from gar_ros.engine.runtime.tensorrt.engines import EngineSource
    from gar_ros.engine.runtime.tensorrt.installed import find_tensorrt

    found, opened = find_tensorrt(), ModelDir.open(folder)
    try:
        source = EngineSource(opened, found, EngineCache(cache or default_cache_folder()), build=False)
    except GarError as error:
        return Engines(refused=error.message)
    return Engines(missing=tuple(source.missing()))


def choice(folder: str, cache: str) -> Choice:
    """What "auto" takes for a model, tried as the node does it. folder: empty for the shipped model."""
    from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
    from gar_ros.engine.runtime.select import Engines as Where
    from gar_ros.engine.runtime.select import open_runtime

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("gar_ros.engine.runtime.select")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    where = Where(Path(cache) if cache else None)
    runtime = open_runtime(ModelDir.open(folder or default_model_dir()), "auto", 0, False, where)
    return Choice(runtime.provider, said[-1] if said else "")


def _imported(name: str, *distributions: str) -> tuple[Any, Module]:
    """The module and its version: its own, or that of one of the distributions. What fails is told, whatever it is."""
    try:
        module = importlib.import_module(name)
    except LEAVING:
        raise
    except BaseException as error:  # noqa: BLE001 what a broken library raises is not to be foreseen
        top = name.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            version = _version_of(*distributions or (top,))
            return None, Module(problem=f"{version} is installed, but {reason_of(error)}" if version else "")
        return None, Module(problem=reason_of(error))
    if getattr(module, "__file__", None) is None:  # a folder of that name somewhere, without a package in it
        return None, Module()
    version = str(getattr(module, "__version__", "")) or _version_of(*distributions)
    return module, Module(version or "of unknown version")


def _version_of(*distributions: str) -> str:
    """Of the first of them that is installed."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


PROBES: dict[str, Callable[..., Any]] = {
    probe.__name__: probe
    for probe in (driver, cuda_python, tensorrt, tensorrt_rtx, onnxruntime, openvino, ros, model, engines, choice)
}
"""Name -> what returns facts, a dataclass of facts.py."""


def main(argv: Sequence[str]) -> int:
    """Prints the facts that a probe finds, or {"problem": why it failed}."""
    # What libraries print must not get between.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        facts = dataclasses.asdict(PROBES[argv[0]](*argv[1:]))
    except LEAVING:
        raise
    except BaseException as error:  # noqa: BLE001 as above
        facts = {"problem": reason_of(error)}
    answer.write(json.dumps(facts) + "\n")
    answer.flush()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # libraries that crash while they are unloaded have told all they had to tell
