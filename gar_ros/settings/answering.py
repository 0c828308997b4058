# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters: how questions are answered, and what is remembered for that."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.engine.runtime.select import GONE, PROVIDERS
from gar_ros.settings.declare import ANY_TIME, AT_START, parameter


@dataclass(frozen=True)
class RuntimeSettings:
    """What runs the model."""

    provider: str = parameter(
        "auto",
        "what runs the model; auto: TensorRT where its engines were built, else CUDA where it works, else the CPU; "
        "openvino: OpenVINO on the CPU",
        choices=PROVIDERS,
        gone=GONE,
    )
    engines: str = parameter(
        "", "folder of TensorRT engines, ~ is expanded; empty: where `gar build-engine` puts them", path=True
    )
    build_engines: bool = parameter(False, "build missing TensorRT engines while configuring, which takes minutes")
    allow_fallback: bool = parameter(False, "run the model on the CPU where the provider that was asked for can't")
    threads: int = parameter(0, "CPU threads of the model; 0: all cores", limits=(0, 256))


@dataclass(frozen=True)
class RequestSettings:
    """What holds for a request that says nothing else."""

    max_tiles: int = parameter(
        0, "largest number of tiles that an image is cut into; 0: the model's limit", "", (0, 64), changes=ANY_TIME
    )
    max_tokens: int = parameter(
        128, "length limit of a free-text answer where the request sets none", "tokens", (1, 1024), changes=ANY_TIME
    )
    timeout: float = parameter(
        30.0, "time limit of a request that sets none itself", "s", (0.1, 3600.0), changes=ANY_TIME
    )
    max_age: float = parameter(
        2.0, "age limit of the newest image where the request sets none", "s", (0.01, 1e5), changes=ANY_TIME
    )
    max_memory: int = parameter(
        0,
        "memory that one request may take in addition to the model's weights; a request that would need more, by an "
        "estimate from the model's sizes, is refused before anything is computed; 0: on the CPU what is available at "
        "that moment, on a GPU no limit",
        "MiB",
        (0, 1048576),
    )
    queue_size: int = parameter(
        8,
        "largest number of service requests that wait for the model, and also of the action's goals, which are counted "
        "separately; further ones are refused",
        "",
        (1, 64),
        changes=AT_START,
    )


@dataclass(frozen=True)
class MemorySettings:
    """How much is remembered."""

    frames_kept: int = parameter(
        10, "number of newest images kept, and as many newest pairs and images last asked about", limits=(1, 1000)
    )
    encoded_kept: int = parameter(
        2, "number of encoded choices of image and regions kept, each with its KV cache", limits=(1, 100)
    )
    max_memory: int = parameter(
        2048,
        "memory limit of encoded tiles, encoded images, keyframes and the KV caches of dialogues together; what "
        "exceeds it is dropped in this order, but the newest of each is always kept",
        "MiB",
        (1, 1048576),
    )
    answers_kept: int = parameter(32, "number of newest answers kept for ~/answers and ~/overlay", limits=(1, 1000))


@dataclass(frozen=True)
class FeaturesSettings:
    """How features are made and kept."""

    mode: str = parameter(
        "exact",
        "exact: only the regions asked about are prompted, one vision pass for each choice of them; "
        "shared: all regions of a keyframe are prompted, one vision pass serves every question about it",
        choices=("exact", "shared"),
    )
    max_per_region: int = parameter(8, "number of keyframes whose features are kept for one region", limits=(1, 1000))
    max_memory: int = parameter(256, "memory limit of the features kept for all keyframes", "MiB", (1, 65536))
    max_age: float = parameter(60.0, "age at which the features of a keyframe are dropped", "s", (0.1, 1e5))


@dataclass(frozen=True)
class KeyframeSettings:
    """When an image becomes a keyframe; used with shared features."""

    rate: float = parameter(
        1.0,
        "rate of keyframes with shared features, besides those for new or changed regions and for questions; 0: none",
        "Hz",
        (0.0, 60.0),
    )
    min_overlap: float = parameter(
        0.6, "a region whose box overlaps less with its box in the last keyframe causes a new one", "IoU", (0.0, 1.0)
    )
    max_lag: float = parameter(
        0.5,
        "a keyframe answers in place of an image that is newer by at most this; 0: always the newest image",
        "s",
        (0.0, 60.0),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class GraphSettings:
    """The scene graph."""

    predicates: tuple[str, ...] = parameter(
        ("on top of", "inside", "touching", "to the left of", "in front of"),
        'relations of the scene graph where the request names none; asked as "Is A ... B?"',
        changes=ANY_TIME,
    )
    threshold: float = parameter(
        0.5, "smallest probability of a relation that the scene graph lists", "", (0.001, 1.0), changes=ANY_TIME
    )
    max_pairs: int = parameter(
        90,
        "largest number of ordered pairs of regions in the scene graph; pairs near in the image come first",
        "",
        (2, 10000),
        changes=ANY_TIME,
    )
    rate: float = parameter(
        0.5,
        "highest rate of graphs, while someone subscribes to ~/scene_graph or ~/markers and no request waits; 0: none",
        "Hz",
        (0.0, 30.0),
    )


@dataclass(frozen=True)
class FindSettings:
    """Searches by words."""

    threshold: float = parameter(
        0.5, "smallest probability of a region that is found by words", "", (0.001, 1.0), changes=ANY_TIME
    )
    max_results: int = parameter(
        10, "largest number of regions that are found by words", "", (1, 10000), changes=ANY_TIME
    )


@dataclass(frozen=True)
class WatchSettings:
    """Watches, which wait for an answer to come true."""

    rate: float = parameter(
        4.0,
        "most looks a second of a watch that sets no rate itself; requests for the model come first",
        "Hz",
        (0.01, 60.0),
        changes=ANY_TIME,
    )
    least_probability: float = parameter(
        0.7, "probability of the expected choice from which on it holds", "", (0.001, 1.0), changes=ANY_TIME
    )
    timeout: float = parameter(
        300.0, "time limit of a watch that sets none itself", "s", (0.1, 3600.0), changes=ANY_TIME
    )
    most: int = parameter(
        100,
        "largest number of watches of a camera at a time; further ones are refused",
        "",
        (1, 1000),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class DialogueSettings:
    """Conversations."""

    dialogues_kept: int = parameter(
        8, "number of conversations that can be continued, each with its KV cache", limits=(1, 1000)
    )
    expire_after: float = parameter(120.0, "time after its last turn at which a conversation ends", "s", (0.1, 1e5))
