# SPDX-License-Identifier: Apache-2.0
"""Each part is looked at in a process of its own, which may end as it will."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gar_ros.doctor.facts import Driver, Gpu, Model, Module, OnnxRuntime
from gar_ros.doctor.gather import ask, gather, made_of
from gar_ros.engine.model_dir.folder import default_model_dir


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_process_that_crashes_is_told() -> None:
    found = ask(python("import os, signal; os.kill(os.getpid(), signal.SIGILL)"))
    assert found == {"problem": "the process that looked at it was ended by SIGILL"}


def test_a_process_that_gives_up_is_told_with_its_last_words() -> None:
    found = ask(python("import sys; sys.stderr.write('first\\nlast\\n'); sys.exit(3)"))
    assert found == {"problem": "the process that looked at it ended with 3: last"}


def test_a_process_that_hangs_is_told() -> None:
    assert ask(python("import time; time.sleep(60)"), seconds=0.5) == {"problem": "no answer within 0 s"}


def test_facts_travel_as_json() -> None:
    gpu = {"name": "Orin", "compute": "SM87", "bytes": 8, "free_bytes": None, "integrated": True}
    assert made_of(Driver, {"cuda": "12.6", "problem": "", "gpu": gpu}) == Driver(
        "12.6", gpu=Gpu("Orin", "SM87", 8, None, True)
    )
    assert made_of(OnnxRuntime, {"version": "1", "providers": ["A", "B"]}).providers == ("A", "B")
    assert made_of(Model, {"problem": "nothing"}) == Model(problem="nothing")


def broken(folder: Path, name: str, raised: str) -> None:
    """A package that can't be imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(f"raise {raised}\n")


def probe(name: str, path: Path) -> dict[str, object]:
    """What a probe finds where `path` comes first among the modules."""
    program = "import sys; from gar_ros.doctor.probes import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": f"{path}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", program, name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("raised", ["RuntimeError('Failed to dlopen libcuda.so.1')", "OSError('libnvinfer.so.10')"])
def test_a_module_whose_import_raises_anything_is_told(tmp_path: Path, raised: str) -> None:
    broken(tmp_path, "tensorrt", raised)
    found = made_of(Module, probe("tensorrt", tmp_path))
    assert not found.works
    assert found.problem == raised.replace("('", ": ").removesuffix("')")


def test_a_module_that_is_not_installed_is_no_problem(tmp_path: Path) -> None:
    broken(tmp_path, "tensorrt", "ModuleNotFoundError(\"No module named 'tensorrt'\", name='tensorrt')")
    assert made_of(Module, probe("tensorrt", tmp_path)) == Module()


def test_a_folder_of_that_name_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "tensorrt").mkdir()
    assert made_of(Module, probe("tensorrt", tmp_path)) == Module()


def test_a_module_that_lacks_another_one_is_told(tmp_path: Path) -> None:
    broken(tmp_path, "onnxruntime", "ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    found = made_of(OnnxRuntime, probe("onnxruntime", tmp_path))
    assert "No module named 'numpy'" in found.problem


def test_this_machine() -> None:
    facts = gather(default_model_dir())
    assert facts.onnxruntime.works and "CPUExecutionProvider" in facts.onnxruntime.providers
    assert facts.model and facts.model.name == "gar-tiny"
    assert facts.model.dtypes["decoder.onnx"] == "float32"
    assert facts.model.needs_cpu and facts.model.needs_cpu[0] > 0
    assert facts.choice.provider
    assert "auto was asked for" in facts.choice.why


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    facts = gather(tmp_path)
    assert facts.model and "manifest.json" in facts.model.problem
    assert facts.choice.provider == ""


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise RuntimeError('Failed to dlopen libcuda.so.1')", "RuntimeError: Failed to dlopen libcuda.so.1"),
        ("def cudaGetDeviceCount(): raise RuntimeError('no libcuda')", "RuntimeError: no libcuda"),
        (
            "class cudaError_t: cudaSuccess = 0\n"
            "def cudaGetDeviceCount(): return 35, 0\n"
            "def cudaGetErrorString(status): return 0, b'CUDA driver version is insufficient'",
            "CUDA driver version is insufficient",
        ),
        ("class cudaError_t: cudaSuccess = 0\ndef cudaGetDeviceCount(): return 0, 1", ""),
    ],
)
def test_every_way_in_which_bindings_tell_that_there_is_no_driver(tmp_path: Path, source: str, problem: str) -> None:
    """Versions differ: they raise when they are imported, when they are called, or return a status."""
    folder = tmp_path / "cuda/bindings"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").write_text("")
    (folder / "runtime.py").write_text(f"__version__ = '12.6.2'\n{source}\n")
    found = made_of(Module, probe("cuda_python", tmp_path))
    assert found.problem == problem
    assert found.works is not bool(problem)
