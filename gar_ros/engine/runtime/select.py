# SPDX-License-Identifier: Apache-2.0
"""Which runtime serves: as asked for, or by what is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort

from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import REPLAY
from gar_ros.engine.runtime.openvino import OPENVINO, OpenVinoRuntime
from gar_ros.engine.runtime.ort import EXECUTION_PROVIDERS, OrtRuntime
from gar_ros.engine.runtime.precisions import check_precision, providers_of
from gar_ros.engine.runtime.protocol import Runtime
from gar_ros.engine.runtime.tensorrt.cache import EngineCache, default_cache_folder
from gar_ros.engine.runtime.tensorrt.cuda_calls import cuda_runtime
from gar_ros.engine.runtime.tensorrt.engines import EngineSource
from gar_ros.engine.runtime.tensorrt.installed import find_tensorrt
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from gar_ros.engine.runtime.tensorrt.runner import TensorRtRuntime
from gar_ros.errors import ErrorCode, GarError, reason_of

TENSORRT = "tensorrt"
PROVIDERS = ("auto", "cpu", OPENVINO, "cuda", TENSORRT)
GONE = {
    "tensorrt-ort": "there is no provider 'tensorrt-ort', which rounded numbers that the graphs keep in float32; use "
    f"'{TENSORRT}', whose engines `gar build-engine` builds",
}
"""What to use instead of a provider that earlier releases had."""
ON_CPU = ("cpu", OPENVINO)
"""Providers that keep features and KV caches in the host's memory."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engines:
    """Where TensorRT's engines are, and whether missing ones are built while loading, which takes minutes."""

    folder: Path | None = None  # the default cache folder when None
    build: bool = False


DEFAULT_ENGINES = Engines()


def open_runtime(
    model: ModelDir, provider: str, threads: int, allow_fallback: bool, engines: Engines = DEFAULT_ENGINES
) -> Runtime:
    """A runtime that is known to work: it has run the model's replay graph. See `with_runtime`."""
    return with_runtime(model, provider, threads, allow_fallback, engines, lambda runtime: runtime)


def with_runtime(
    model: ModelDir,
    provider: str,
    threads: int,
    allow_fallback: bool,
    engines: Engines,
    use: Callable[[Runtime], T],
) -> T:
    """What `use` makes of the first runtime that has run the model's replay graph and that it doesn't fail with, as the
    other graphs may not be loaded there. One log line says which it is and why.

    provider: one of PROVIDERS. "auto" is TensorRT where this GPU's engines were built, else CUDA where it works, else
    the CPU; "openvino" only when asked for. Another one that isn't available, whatever its libraries raise, is a
    GarError INVALID_REQUEST, unless `allow_fallback` lets ONNX Runtime serve on the CPU instead.
    threads: of one operator on the CPU, 0 for all cores.
    """
    if provider in GONE:
        raise GarError(ErrorCode.INVALID_REQUEST, GONE[provider])
    if provider not in PROVIDERS:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected provider {' | '.join(PROVIDERS)}, got '{provider}'")
    if threads < 0:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected 0 or more threads, got {threads}")
    candidates = [TENSORRT, "cuda", "cpu"] if provider == "auto" else [provider]
    if provider == "auto":
        engines = Engines(engines.folder, build=False)
    if allow_fallback and candidates[-1] != "cpu":
        candidates.append("cpu")
    reasons = [f"{provider} was asked for"]
    for candidate in candidates:
        runtime: Runtime | None = None
        try:
            runtime, name = _open(candidate, model, threads, engines)
            used = use(runtime)
        except Exception as error:
            if runtime is not None:
                runtime.close()
            if (candidate == "cpu" and "cpu" in providers_of(model.manifest)) or (
                runtime is not None and candidate == candidates[-1]
            ):
                raise
            if not isinstance(error, GarError):
                _log.debug("%s", candidate, exc_info=True)
            reasons.append(f"{candidate} is not available: {reason_of(error)}")
        else:
            _log.info("%s: %s", name, "; ".join(reasons))
            return used
    raise GarError(ErrorCode.INVALID_REQUEST, "; ".join(reasons))


def _open(candidate: str, model: ModelDir, threads: int, engines: Engines) -> tuple[Runtime, str]:
    """A runtime that has run a graph, and its name. Raises GarError saying what is missing, or as its libraries do."""
    check_precision(model.manifest, candidate)
    if model.manifest.kv_cache == "static" and candidate == OPENVINO:
        raise GarError(ErrorCode.INVALID_REQUEST, "the decoder's KV cache is static, which openvino doesn't take")
    if candidate == TENSORRT:
        found = find_tensorrt()
        source = EngineSource(model, found, EngineCache(engines.folder or default_cache_folder()), engines.build)
        missing = source.missing()
        if missing and not engines.build:
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"{'; '.join(missing)}; run `gar build-engine {model.path}` on this machine"
            )
        runtime: Runtime = TensorRtRuntime(source, cuda_runtime())
        name = f"{found.version} on {found.gpu}"
    elif candidate == OPENVINO:
        runtime = opened = OpenVinoRuntime(threads, graph_profiles(model.manifest))
        name = f"OpenVINO {opened.version} with ONNX Runtime {ort.__version__} on cpu"
    else:
        wanted, available = EXECUTION_PROVIDERS[candidate][0], ort.get_available_providers()
        if wanted not in available:
            raise GarError(ErrorCode.INVALID_REQUEST, f"this onnxruntime has {', '.join(available)}, not {wanted}")
        runtime = OrtRuntime(candidate, threads, graph_profiles(model.manifest))
        name = f"ONNX Runtime {ort.__version__} on {candidate}"
    try:
        _try_out(runtime, model)
    except BaseException:
        runtime.close()
        raise
    return runtime, name


def _try_out(runtime: Runtime, model: ModelDir) -> None:
    """Runs the replay graph, the smallest one, with zeros: libraries without kernels for this GPU list it, load graphs
    for it, and fail when they run the first one. Raises GarError or what a library raises."""
    profile = graph_profiles(model.manifest)[REPLAY][0]
    runner = runtime.load(model.graph(REPLAY))
    outputs = runner.run({name: np.zeros(shapes.smallest, np.float32) for name, shapes in profile.items()})
    outputs["replay"].numpy()  # waits for the GPU, which tells only then what went wrong
