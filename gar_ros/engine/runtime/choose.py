"""Which runtime serves: as asked for, or by what is there."""

from __future__ import annotations

import logging
from pathlib import Path

import onnxruntime as ort

from gar_ros.engine.runtime.ort import EXECUTION_PROVIDERS, OrtRuntime
from gar_ros.engine.runtime.runner import Runtime
from gar_ros.errors import ErrorCode, GarError

PROVIDERS = ("auto", *EXECUTION_PROVIDERS)

_log = logging.getLogger(__name__)


def open_runtime(provider: str, threads: int, allow_fallback: bool, probe: Path) -> Runtime:
    """A runtime that is known to work: it has loaded the graph `probe`. One log line says which it is and why.

    provider: one of PROVIDERS. "auto" is CUDA where it works, else the CPU; TensorRT only when asked for, since it
    builds its engines for minutes. Another one that isn't available raises GarError INVALID_REQUEST, unless
    `allow_fallback` lets the CPU serve instead. threads: of one operator on the CPU, 0 for all cores.
    """
    if provider not in PROVIDERS:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected provider {' | '.join(PROVIDERS)}, got '{provider}'")
    if threads < 0:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected 0 or more threads, got {threads}")
    candidates = ["cuda", "cpu"] if provider == "auto" else [provider]
    if allow_fallback and candidates[-1] != "cpu":
        candidates.append("cpu")
    reasons = [f"{provider} was asked for"]
    for candidate in candidates:
        missing = _why_not(candidate)
        if missing is None:
            runtime = OrtRuntime(candidate, threads)
            try:
                runtime.load(probe)
            except GarError as error:
                if candidate == "cpu":
                    raise
                missing = error.message
            else:
                _log.info("ONNX Runtime %s on %s: %s", ort.__version__, candidate, "; ".join(reasons))
                return runtime
        reasons.append(missing)
    raise GarError(ErrorCode.INVALID_REQUEST, "; ".join(reasons))


def _why_not(candidate: str) -> str | None:
    wanted = EXECUTION_PROVIDERS[candidate][0]
    available = ort.get_available_providers()
    if wanted in available:
        return None
    return f"{candidate} is not available: this onnxruntime has {', '.join(available)}, not {wanted}"
