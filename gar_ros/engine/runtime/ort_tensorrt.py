# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime's TensorRT provider has to be told: shapes, precision, and where it keeps its engines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from gar_ros.engine.model_dir.manifest import Manifest
from gar_ros.engine.runtime.ort import ProviderOptions
from gar_ros.engine.runtime.tensorrt.engines import graph_files
from gar_ros.engine.runtime.tensorrt.profiles import Shape, enclosing, graph_profiles
from gar_ros.errors import ErrorCode, GarError


def tensorrt_options(manifest: Manifest, cache: Path) -> Callable[[str], ProviderOptions]:
    """Graph file -> options. Engines go to a folder of their own for each graph and its weights, since ONNX Runtime
    names them without regard to the weights; the version and the GPU are in its names.

    Raises GarError INVALID_REQUEST when the folder can't be made.
    """
    profiles = graph_profiles(manifest)

    def options_of(graph: str) -> ProviderOptions:
        digests = "".join(manifest.files[name].sha256 for name in graph_files(manifest, graph))
        folder = cache / "onnxruntime" / hashlib.sha256(digests.encode()).hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"expected a folder for engines that can be written, but '{folder}': {error}"
            ) from error
        profile = enclosing(profiles[graph])
        return {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
            "trt_fp16_enable": str(manifest.dtypes.get(graph) == "float16"),
            "trt_profile_min_shapes": _shapes({name: shapes.smallest for name, shapes in profile.items()}),
            "trt_profile_opt_shapes": _shapes({name: shapes.usual for name, shapes in profile.items()}),
            "trt_profile_max_shapes": _shapes({name: shapes.largest for name, shapes in profile.items()}),
        }

    return options_of


def _shapes(shapes: dict[str, Shape]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
