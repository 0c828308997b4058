# SPDX-License-Identifier: Apache-2.0
"""The facts of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gar_ros.doctor.facts import Choice, Driver, Engines, Facts, Gpu, Model, Module, OnnxRuntime, Ros
from gar_ros.doctor.system import read_system

Found = TypeVar("Found", Choice, Driver, Engines, Model, Module, OnnxRuntime, Ros)

_AT_A_TIME = 2
_SECONDS = 600.0  # the files of a large model are hashed meanwhile


def gather(folder: Path | None = None, engines: Path | None = None) -> Facts:
    """The facts of this machine. folder: of a model. engines: the folder with TensorRT's engines, None for the default
    one. Nothing raises: what can't be looked at is told in its place."""
    model_words = [str(folder)] if folder else []
    cache = str(engines or "")
    with ThreadPoolExecutor(_AT_A_TIME) as pool:

        def start(kind: type[Found], name: str, *words: str) -> Future[Found]:
            return pool.submit(_asked, kind, name, words)

        model = start(Model, "model", *model_words) if folder else None
        driver, cuda_python = start(Driver, "driver"), start(Module, "cuda_python")
        tensorrt, rtx = start(Module, "tensorrt"), start(Module, "tensorrt_rtx")
        onnxruntime, openvino = start(OnnxRuntime, "onnxruntime"), start(Module, "openvino")
        ros = start(Ros, "ros")
        # Of the model, since its files are hashed by then.
        opened = model.result() if model else None
        can_run = driver.result().gpu and (tensorrt.result().works or rtx.result().works)
        choice = None if opened and opened.problem else start(Choice, "choice", str(folder or ""), cache)
        found = start(Engines, "engines", str(folder), cache) if opened and not opened.problem and can_run else None
        return Facts(
            system=read_system(),
            driver=driver.result(),
            cuda_python=cuda_python.result(),
            tensorrt=tensorrt.result(),
            tensorrt_rtx=rtx.result(),
            onnxruntime=onnxruntime.result(),
            openvino=openvino.result(),
            ros=ros.result(),
            model=opened,
            engines=found.result() if found else None,
            choice=choice.result() if choice else Choice(problem="the model folder can't be used"),
        )


def _asked(kind: type[Found], name: str, words: Sequence[str]) -> Found:
    """The facts that a probe tells, or its problem."""
    return made_of(kind, ask([sys.executable, "-m", "gar_ros.doctor.probes", name, *words]))


def ask(command: Sequence[str], seconds: float = _SECONDS) -> dict[str, Any]:
    """The JSON object that a process prints; {"problem": how it ended} where it prints none."""
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {seconds:.0f} s"}
    except OSError as error:
        return {"problem": f"no process could be started: {error}"}
    try:
        facts = json.loads(done.stdout)
    except ValueError:
        facts = None
    if isinstance(facts, dict):
        return facts
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    how = f"was ended by {_signal_name(-done.returncode)}" if done.returncode < 0 else f"ended with {done.returncode}"
    return {"problem": f"the process that looked at it {how}{f': {last.strip()}' if last else ''}"}


def made_of(kind: type[Found], facts: Mapping[str, Any]) -> Found:
    """A value of facts.py, from what JSON has of it."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
    if isinstance(values.get("gpu"), dict):
        values["gpu"] = Gpu(**values["gpu"])
    return kind(**values)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
