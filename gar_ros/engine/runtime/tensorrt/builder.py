# SPDX-License-Identifier: Apache-2.0
"""One graph to one engine. The same code drives `tensorrt` 10.3 to 11 and `tensorrt_rtx`: the module is passed in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Profile
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import write_atomically

Progress = Callable[[str], None]

_GIB = 1 << 30
_SHOW_EVERY = 2.0  # seconds
_LOOK_SECONDS = 0.5  # how long Ctrl-C may go unnoticed


@dataclass(frozen=True)
class BuildOptions:
    """What the builder is told beside graph and profiles. It changes how fast an engine is, not what it computes, so an
    engine is found whatever it was built with."""

    workspace_gib: float = 0.0  # scratch memory that kernels may use; 0: all of the GPU's
    timing_cache: Path | None = None  # kernel timings of earlier builds: read, extended and written back
    plan: bool = False  # the log lists each kernel with its tensors, too; same kernels, much text


DEFAULT_OPTIONS = BuildOptions()


def build_engine(
    tensorrt: TensorRt,
    graph: Path,
    profiles: Sequence[Profile],
    options: BuildOptions,
    log: Path,
    progress: Progress,
) -> memoryview:
    """The serialised engine of an ONNX file; types are the graph's own. All that TensorRT says goes to the file `log`.

    Takes minutes; Ctrl-C ends it within a step of the builder. Raises GarError BAD_MODEL with the builder's words, or
    INVALID_REQUEST when the log can't be made.
    """
    try:
        file = log.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected to write '{log}': {error}") from error

    def write(line: str) -> None:
        with suppress(OSError):  # a disk that is full is no reason to lose minutes of building
            file.write(line)

    def build(stop: threading.Event) -> memoryview:
        return _build(
            tensorrt, graph, profiles, options, _make_logger(tensorrt.module, write, options.plan), progress, stop
        )

    try:
        return interruptible(build)
    finally:
        with suppress(OSError):
            file.close()


def _build(
    tensorrt: TensorRt,
    graph: Path,
    profiles: Sequence[Profile],
    options: BuildOptions,
    logger: Any,
    progress: Progress,
    stop: threading.Event,
) -> memoryview:
    trt = tensorrt.module
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        reasons = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(f"{reason.node_operator()}: {reason.desc()}" for reason in reasons) or _last(logger)
        raise GarError(ErrorCode.BAD_MODEL, f"TensorRT can't take '{graph}': {said}")
    config = builder.create_builder_config()
    for profile in profiles:
        config.add_optimization_profile(_make_profile(builder, network, profile, graph))
    if options.workspace_gib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options.workspace_gib * _GIB))
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):  # TensorRT for RTX: else runs may not be captured
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if options.plan:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if tensorrt.target:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, tensorrt.target), 0)
    if hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = _make_monitor(trt, graph.name, progress, stop)
    if options.timing_cache is not None:
        _use_timing_cache(config, options.timing_cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise GarError(ErrorCode.BAD_MODEL, f"TensorRT built no engine of '{graph}': {_last(logger)}")
    if options.timing_cache is not None:
        _keep_timing_cache(config, options.timing_cache, progress)
    return memoryview(engine)


def _network_flags(trt: Any) -> int:
    """Strongly typed: the graph's own types hold. It is the only kind in 11, where the flag may be gone, as is the one
    for explicit batches that 10 ignores."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _make_profile(builder: Any, network: Any, profile: Profile, graph: Path) -> Any:
    inputs = {network.get_input(index).name for index in range(network.num_inputs)}
    if inputs != set(profile):
        raise GarError(
            ErrorCode.BAD_MODEL,
            f"'{graph}': expected the inputs {sorted(profile)}, got {sorted(inputs)}: export it again",
        )
    made = builder.create_optimization_profile()
    for name, shapes in profile.items():
        made.set_shape(name, shapes.smallest, shapes.usual, shapes.largest)
    return made


def _use_timing_cache(config: Any, path: Path) -> None:
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected a timing cache that can be read: {error}") from error
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):  # of another version or GPU: starts empty
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep_timing_cache(config: Any, path: Path, progress: Progress) -> None:
    """The engine is there already: where the timings can't be kept, the next build takes longer."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        write_atomically(path, memoryview(cache.serialize()))
    except OSError as error:
        progress(f"the kernel timings can't be kept in '{path}': {error}")


def _make_logger(trt: Any, write: Callable[[str], object], verbose: bool) -> Any:
    """A TensorRT logger that writes lines, what only developers want if `verbose`, and remembers the errors."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(msg)
            if verbose or severity != trt.ILogger.VERBOSE:
                write(f"{time.strftime('%H:%M:%S')} {getattr(severity, 'name', severity)} {msg}\n")

    return Log()


def _last(logger: Any) -> str:
    return logger.errors[-1] if logger.errors else "it gave no reason"


def _make_monitor(trt: Any, graph: str, progress: Progress, stop: threading.Event) -> Any:
    """Tells phases with their steps, a line each _SHOW_EVERY seconds, and ends the build once `stop` is set."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.shown = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            now = time.monotonic()
            if now - self.shown >= _SHOW_EVERY:
                self.shown = now
                progress(f"{graph}: {phase_name}, step {step + 1} of {self.steps.get(phase_name, 0)}")
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def interruptible(job: Callable[[threading.Event], memoryview]) -> memoryview:
    """What the job returns or raises. It runs beside the main thread and is told to stop by the event: Python's Ctrl-C
    must not be raised within a callback from C++."""
    stop = threading.Event()
    done: Future[memoryview] = Future()

    def run() -> None:
        try:
            done.set_result(job(stop))
        except BaseException as error:  # noqa: BLE001, raised again by the thread that waits
            done.set_exception(error)

    thread = threading.Thread(target=run, name="tensorrt build")
    try:
        thread.start()
        while not wait([done], _LOOK_SECONDS).done:
            pass  # Python overlooks a signal that comes just before it begins to wait, until the wait ends
        return done.result()
    except BaseException:
        stop.set()
        if thread.ident is not None:
            wait([done])
        raise
