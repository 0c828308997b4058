# SPDX-License-Identifier: Apache-2.0
"""The facts of a machine, by which `checks` judges. Tests write them down for machines that nobody has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class System:
    """What files tell. Texts are empty where there is no such thing."""

    arch: str = "x86_64"
    python: str = "3.12.3"
    name: str = "Ubuntu 24.04 LTS"
    cpu: str = ""
    container: bool = False
    nvidia_hardware: bool = False  # whether the system sees a GPU of NVIDIA's, with or without a driver
    kernel_driver: str = ""  # version of NVIDIA's kernel module, "550.54.14"
    board: str = ""  # of a Jetson, "NVIDIA Jetson AGX Orin Developer Kit"
    l4t: str = ""  # of a Jetson: version of Jetson Linux, "36.4.3"
    packages: Mapping[str, str] = field(default_factory=dict)  # apt's packages of JetPack and TensorRT -> version
    venv: str = ""  # folder of the virtual environment that this Python is in
    sees_system_packages: bool = True  # whether this Python finds apt's Python packages
    free_bytes: int | None = None  # of the host's memory; None: not known
    environment: Mapping[str, str] = field(default_factory=dict)  # of what concerns ROS and CUDA

    @property
    def jetson(self) -> bool:
        """Whether it is a Jetson."""
        return bool(self.l4t or "Jetson" in self.board)

    @property
    def jetpack(self) -> str:
        """The version of JetPack, "6.2+b77", or as much of it as Jetson Linux's version tells, "6"."""
        known = {"34": "5", "35": "5", "36": "6"}
        major = self.l4t.partition(".")[0]
        newer = "7" if major.isdecimal() and int(major) > 36 else ""
        return self.packages.get("nvidia-jetpack", "") or known.get(major, newer)


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA shows."""

    name: str
    compute: str  # "SM87"
    bytes: int
    free_bytes: int | None = None  # None: not known, or the host's memory
    integrated: bool = False  # its memory is the host's


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver library. cuda: the newest version of CUDA that it runs, "12.4"; empty where there is no library.
    problem: why it can't be used. gpu: None where it shows none."""

    cuda: str = ""
    problem: str = ""
    gpu: Gpu | None = None


@dataclass(frozen=True)
class Module:
    """A Python module. version: empty where it is not installed or can't be imported; problem then says why it can't,
    and is empty where it is not installed. cuda: the version of CUDA that it was built for, where it tells."""

    version: str = ""
    problem: str = ""
    cuda: str = ""

    @property
    def works(self) -> bool:
        """Whether it can be imported."""
        return bool(self.version) and not self.problem


@dataclass(frozen=True)
class OnnxRuntime(Module):
    """packages: Python packages that share its folder. providers: its execution providers."""

    packages: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ros(Module):
    """rclpy. rmw: the middleware that it takes. interfaces: why this package's messages can't be imported."""

    rmw: str = ""
    interfaces: str = ""


@dataclass(frozen=True)
class Model:
    """A model folder. problem: why it can't be used; then nothing else is known.

    dtypes: graph -> precision. weights: bytes of all graphs. needs_cpu, needs_gpu: bytes that a question about as many
    regions as possible takes besides, for images of 1, 2, .. tiles, the thumbnail among them where there is one.
    """

    folder: str = ""
    problem: str = ""
    name: str = ""
    dtypes: Mapping[str, str] = field(default_factory=dict)
    weights: int = 0
    regions: int = 0
    thumbnail: bool = True
    needs_cpu: tuple[int, ...] = ()
    needs_gpu: tuple[int, ...] = ()


@dataclass(frozen=True)
class Engines:
    """TensorRT's engines of the model for this GPU. refused: why TensorRT can't take the model. missing: why each
    engine that isn't there isn't; problem: why this is not known."""

    problem: str = ""
    refused: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What provider "auto" takes. problem: why nothing serves. why: what the node would log."""

    provider: str = ""
    why: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """All of it. model: None where no folder was given; then `choice` is about the shipped model, and `engines` are
    None, as they are where there is nothing to run them."""

    system: System = System()
    driver: Driver = Driver()
    cuda_python: Module = Module()
    tensorrt: Module = Module()
    tensorrt_rtx: Module = Module()
    onnxruntime: OnnxRuntime = OnnxRuntime()
    openvino: Module = Module()
    ros: Ros = Ros()
    model: Model | None = None
    engines: Engines | None = None
    choice: Choice = Choice()
