# SPDX-License-Identifier: Apache-2.0
"""Machines as users have them, and the one next step for each. None of those with a GPU was at hand: they are facts
written down from what NVIDIA documents."""

from __future__ import annotations

import pytest

from gar_ros.doctor.checks import report
from gar_ros.doctor.facts import Choice, Driver, Engines, Facts, Model, Module, OnnxRuntime, Ros, System
from gar_ros.doctor.text import as_text
from tests.doctor.machines import GB, JETPACK_6, JETPACK_7, LAPTOP, ON_CPU, RTX_4090, changed

BOTH = ("onnxruntime", "onnxruntime-gpu")
NO_GPU = Driver("13.0", "cuInit gives 803: system has unsupported display driver / cuda driver combination")


MACHINES: list[tuple[str, Facts, str]] = [
    ("laptop without a GPU", LAPTOP, "`gar selftest gar-1b`"),
    ("no model was given", changed(LAPTOP, model=None), "`gar doctor DIR`"),
    ("Python 3.8", changed(LAPTOP, system={"python": "3.8.10"}), "install Python 3.10 or newer"),
    ("no onnxruntime", changed(LAPTOP, onnxruntime=OnnxRuntime(), choice=Choice()), "requirements/robot.lock"),
    (
        "onnxruntime that doesn't load",
        changed(LAPTOP, onnxruntime=OnnxRuntime(problem="ended by SIGILL"), choice=Choice(problem="it")),
        "pip install --force-reinstall onnxruntime",
    ),
    (
        "a library is missing",
        changed(LAPTOP, choice=Choice(problem="ModuleNotFoundError: No module named 'tokenizers'")),
        "requirements/robot.lock",
    ),
    ("a damaged model", changed(LAPTOP, model=Model("gar-1b", "vision.onnx is truncated")), "copy or export it again"),
    ("little memory", changed(LAPTOP, system={"free_bytes": 5 * GB}), "set request.max_tiles to 7"),
    ("too little memory", changed(LAPTOP, system={"free_bytes": 2 * GB}), "a smaller --precision"),
    (
        "a workspace that isn't built",
        changed(LAPTOP, ros={"interfaces": "No module named 'gar_ros.msg'"}),
        "colcon build",
    ),
    (
        "a middleware that isn't installed",
        changed(
            LAPTOP,
            ros=Ros("7.1.6", "its middleware can't be loaded: .."),
            system={"environment": {"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}},
        ),
        "install the middleware rmw_zenoh_cpp",
    ),
    (
        "ROS is sourced, the venv doesn't see it",
        changed(LAPTOP, ros=Ros(), system={"environment": {"ROS_DISTRO": "jazzy"}}),
        "-DGAR_PYTHON",
    ),
    ("desktop without a driver", changed(LAPTOP, system={"nvidia_hardware": True}), "install NVIDIA's driver 580"),
    (
        "container without the driver",
        changed(LAPTOP, system={"nvidia_hardware": True, "container": True}),
        "`--gpus all`",
    ),
    (
        "Jetson's container without the driver",
        changed(JETPACK_6, driver=Driver(), system={"container": True}),
        "`--runtime nvidia`",
    ),
    ("driver updated, not yet rebooted", changed(RTX_4090, driver=NO_GPU), "reboot"),
    ("container with another driver", changed(RTX_4090, driver=NO_GPU, system={"container": True}), "`--gpus all`"),
    (
        "a GPU that is hidden",
        changed(RTX_4090, driver=Driver("13.0"), system={"environment": {"CUDA_VISIBLE_DEVICES": ""}}),
        "unset CUDA_VISIBLE_DEVICES",
    ),
    ("RTX 4090, all there", RTX_4090, "`gar selftest gar-1b`"),
    ("RTX 4090, old driver", changed(RTX_4090, driver={"cuda": "11.8"}), "install NVIDIA's driver 580"),
    ("RTX 4090, no bindings", changed(RTX_4090, cuda_python=Module()), 'pip install "cuda-python>=13,<14"'),
    (
        "RTX 4090, driver of CUDA 12 and bindings of 13",
        changed(RTX_4090, driver={"cuda": "12.4"}),
        'pip install "cuda-python>=12.6.1,<13"',
    ),
    (
        "RTX 4090, driver of CUDA 13 and bindings of 12",
        changed(RTX_4090, cuda_python=Module("12.9.0")),
        'pip install "cuda-python>=13,<14"',
    ),
    (
        "RTX 4090, bindings that raise",
        changed(RTX_4090, cuda_python=Module("13.0.3", "RuntimeError: Failed to dlopen")),
        "pip install --force-reinstall",
    ),
    (
        "RTX 4090 with CUDA 12, old bindings that raise",
        changed(RTX_4090, driver={"cuda": "12.4"}, cuda_python=Module("12.6.2", "RuntimeError: Failed to dlopen")),
        'pip install "cuda-python>=12.9.1,<13"',
    ),
    ("RTX 4090, no TensorRT", changed(RTX_4090, tensorrt=Module()), 'pip install "tensorrt>=10.3"'),
    (
        "RTX 4090 with CUDA 12, no TensorRT",
        changed(RTX_4090, driver={"cuda": "12.4"}, cuda_python=Module("12.6.2"), tensorrt=Module()),
        'pip install "tensorrt-cu12>=10.3"',
    ),
    (
        "RTX 4090 with CUDA 12, TensorRT for 13",
        changed(RTX_4090, driver={"cuda": "12.4"}, cuda_python=Module("12.6.2")),
        "install NVIDIA's driver 580",
    ),
    (
        "RTX 4090, TensorRT for RTX alone",
        changed(RTX_4090, tensorrt=Module(), tensorrt_rtx=Module("1.7.1", cuda="13")),
        "`gar selftest gar-1b`",
    ),
    ("RTX 4090, TensorRT 10.0", changed(RTX_4090, tensorrt=Module("10.0.1")), "pip install -U"),
    (
        "RTX 4090, a model for the CPU",
        changed(RTX_4090, engines=Engines(refused="TensorRT takes .."), choice=ON_CPU),
        "--precision fp16",
    ),
    (
        "RTX 4090, no engines",
        changed(RTX_4090, engines=Engines(missing=("no engine of vision.onnx ..",)), choice=ON_CPU),
        "gar build-engine gar-1b",
    ),
    (
        "RTX 4090, a model that only TensorRT runs, no engines",
        changed(
            RTX_4090,
            ros={"interfaces": "not built"},
            engines=Engines(missing=("no engine of vision.onnx ..",)),
            choice=Choice(problem="tensorrt is not available: ..; cpu is not available: .."),
        ),
        "gar build-engine gar-1b",
    ),
    (
        "laptop, a model that only TensorRT runs",
        changed(LAPTOP, ros={"interfaces": "not built"}, choice=Choice(problem="cpu can't run this precision: ..")),
        "mend what the line of `provider auto` says",
    ),
    ("RTX 4090, engines that don't load", changed(RTX_4090, choice=ON_CPU), "says of TensorRT"),
    (
        "both onnxruntime and onnxruntime-gpu",
        changed(RTX_4090, onnxruntime={"packages": BOTH}),
        "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu",
    ),
    ("Orin with JetPack 6, all there", JETPACK_6, "`gar selftest gar-1b`"),
    (
        "Orin with JetPack 6, no bindings",
        changed(JETPACK_6, cuda_python=Module()),
        'pip install "cuda-python>=12.6.1,<13"',
    ),
    (
        "Orin with JetPack 6, a venv that doesn't see apt's TensorRT",
        changed(JETPACK_6, tensorrt=Module(), system={"sees_system_packages": False}),
        "python3 -m venv --system-site-packages '/home/u/gar_venv'",
    ),
    (
        "Orin with JetPack 6, another Python",
        changed(JETPACK_6, tensorrt=Module(), system={"python": "3.12.3"}),
        "the Python that JetPack comes with",
    ),
    (
        "Orin without nvidia-jetpack",
        changed(JETPACK_6, tensorrt=Module(), system={"packages": {}}),
        "sudo apt install nvidia-jetpack",
    ),
    (
        "Orin with JetPack 6, a container without TensorRT",
        changed(JETPACK_6, tensorrt=Module(), system={"packages": {}, "container": True}),
        "an image with TensorRT",
    ),
    (
        "Orin with JetPack 5",
        changed(
            JETPACK_6,
            driver={"cuda": "12.2"},
            tensorrt=Module("8.5.2"),
            system={"l4t": "35.4.1", "packages": {"nvidia-jetpack": "5.1.2"}},
        ),
        "flash JetPack 6",
    ),
    ("Orin with TensorRT 11 of PyPI", changed(JETPACK_6, tensorrt=Module("11.0.0")), "pip uninstall tensorrt"),
    (
        "Thor with JetPack 7.2, no engines",
        changed(JETPACK_7, engines=Engines(missing=("no engine of vision.onnx ..",)), choice=ON_CPU),
        "gar build-engine gar-1b",
    ),
    (
        "Thor with JetPack 7.2, bindings of 12",
        changed(JETPACK_7, cuda_python=Module("12.6.2")),
        '"cuda-python>=13,<14"',
    ),
    ("Thor with JetPack 7.2, all there", JETPACK_7, "`gar selftest gar-1b`"),
]


@pytest.mark.parametrize(("facts", "step"), [pytest.param(*rest, id=name) for name, *rest in MACHINES])
def test_the_next_step(facts: Facts, step: str) -> None:
    made = report(facts)
    assert step in made.step
    assert made.serves == bool(facts.choice.provider)
    text = as_text(made)
    assert text.endswith(f"next step: {made.step}\n")
    assert max(map(len, text.splitlines()[:-1])) <= 120
    for check in made.checks:
        assert (check.state in ("warning", "error")) == bool(check.step), check


@pytest.mark.parametrize(
    ("version", "advised"), [("12.6.2", True), ("12.9.0", True), ("12.9.1", False), ("13.0", False)]
)
def test_newer_bindings_are_advised_where_older_ones_work_or_have_no_gpu(version: str, advised: bool) -> None:
    major = version.partition(".")[0]
    with_gpu = changed(RTX_4090, driver={"cuda": f"{major}.4"}, cuda_python=Module(version))
    for facts in (with_gpu, changed(LAPTOP, cuda_python=Module(version))):
        text = " ".join(as_text(report(facts)).split())
        assert ("better is cuda-python 12.9.1 or newer of CUDA's major version" in text) == advised


def test_errors_come_before_warnings() -> None:
    """A machine without bindings whose model is damaged."""
    facts = changed(RTX_4090, cuda_python=Module(), model=Model("gar-1b", "damaged"), choice=Choice(problem="damaged"))
    assert "copy or export it again" in report(facts).step


def test_cuda_of_onnx_runtime_matters_only_without_tensorrt() -> None:
    facts = changed(
        RTX_4090,
        driver={"cuda": "12.4"},
        cuda_python=Module("12.6.2"),
        tensorrt=Module("10.13.0", cuda="12"),
        onnxruntime={"providers": ("CUDAExecutionProvider", "CPUExecutionProvider"), "cuda": "13.0"},
    )
    assert "`gar selftest gar-1b`" in report(facts).step
    without = changed(facts, model=None, engines=None, choice=ON_CPU)
    assert "install NVIDIA's driver 580" in report(without).step


@pytest.mark.parametrize(
    ("l4t", "packages", "jetpack"),
    [
        ("35.4.1", {}, "5"),
        ("36.3", {}, "6"),
        ("38.2", {}, "7"),
        ("36.4.3", {"nvidia-jetpack": "6.2"}, "6.2"),
        ("", {}, ""),
    ],
)
def test_jetpack_by_its_package_or_by_jetson_linux(l4t: str, packages: dict[str, str], jetpack: str) -> None:
    assert System(l4t=l4t, packages=packages).jetpack == jetpack
