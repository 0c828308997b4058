# SPDX-License-Identifier: Apache-2.0
"""The engines of a model: which it needs, which are there, and building those that are not."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION, Manifest
from gar_ros.engine.runtime.precisions import check_precision
from gar_ros.engine.runtime.tensorrt.builder import DEFAULT_OPTIONS, BuildOptions, Progress, build_engine
from gar_ros.engine.runtime.tensorrt.cache import EngineCache, EngineKey
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Profile, graph_profiles
from gar_ros.errors import ErrorCode, GarError

GRAPHS = (VISION, REPLAY, DECODER)

_KERNEL_BYTES = 64 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSource:
    """Where a runtime gets its engines."""

    model: ModelDir
    tensorrt: TensorRt
    cache: EngineCache
    build: bool  # a missing engine is built, which takes minutes; else it is an error
    options: BuildOptions = DEFAULT_OPTIONS

    def __post_init__(self) -> None:
        """Raises GarError BAD_MODEL for a model of a precision that TensorRT can't run."""
        check_precision(self.model.manifest, "tensorrt")

    def missing(self) -> list[str]:
        """Why each engine that is not there can't be used; empty when all are there."""
        reasons = [self.cache.find(self.key(graph)).reason for graph in GRAPHS]
        return [reason for reason in reasons if reason]

    def engine(self, graph: str, progress: Progress = _log.info) -> Path:
        """The engine of a graph file, built if need be and allowed. Raises GarError BAD_MODEL or INVALID_REQUEST."""
        found = self.cache.find(self.key(graph))
        if found.path is not None:
            return found.path
        if not self.build:
            raise GarError(
                ErrorCode.BAD_MODEL, f"{found.reason}: run `gar build-engine {self.model.path}` on this machine"
            )
        progress(f"{graph}: {found.reason}: building")
        return self._build(graph, progress)

    def _build(self, graph: str, progress: Progress) -> Path:
        key, start = self.key(graph), time.monotonic()
        manifest = self.model.manifest
        profiles = graph_profiles(manifest)[graph]
        # All profiles share the weights. A tied head's are in the embedding table.
        weights = sum(manifest.files[name].bytes for name in graph_files(manifest, graph))
        weights += manifest.files[EMBEDDINGS].bytes if graph == DECODER else 0
        self.cache.prepare(int(1.1 * weights) + _KERNEL_BYTES)
        log = (self.cache.folder / key.file_name).with_suffix(".log")
        options = self.options
        if options.timing_cache is None and not self.tensorrt.target:  # nothing is timed without the GPU
            options = replace(options, timing_cache=self.cache.folder / _timing_cache_name(self.tensorrt))
        content = build_engine(self.tensorrt, self.model.graph(graph), profiles, options, log, progress)
        path = self.cache.store(key, content)
        progress(f"{graph}: built in {time.monotonic() - start:.1f} s, {content.nbytes / 1e6:.1f} MB: '{path}'")
        return path

    def key(self, graph: str) -> EngineKey:
        """What the engine of a graph file depends on."""
        manifest = self.model.manifest
        digests = [manifest.files[name].sha256 for name in graph_files(manifest, graph)]
        return EngineKey(
            graph=graph,
            graph_sha256=hashlib.sha256("".join(digests).encode()).hexdigest(),
            builder=self.tensorrt.version,
            gpu=self.tensorrt.gpu,
            precision=manifest.dtypes[graph],
            profiles=_as_text(graph_profiles(manifest)[graph]),
        )


def graph_files(manifest: Manifest, graph: str) -> list[str]:
    """The graph's file and those with its weights."""
    return [graph, *sorted(name for name in manifest.files if name.startswith(f"{graph}."))]


def _as_text(profiles: Sequence[Profile]) -> str:
    """Each profile's inputs with their shapes; inputs of equal shapes, as the layers' caches, once."""
    texts = []
    for profile in profiles:
        shapes = {re.sub(r"\.\d+\.(key|value)$", "", name): item for name, item in profile.items()}
        ranges = (f"{name} {item.smallest}..{item.usual}..{item.largest}" for name, item in shapes.items())
        texts.append(", ".join(ranges))
    return "; ".join(texts)


def _timing_cache_name(tensorrt: TensorRt) -> str:
    return "timing-" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{tensorrt.version} {tensorrt.gpu}") + ".cache"
