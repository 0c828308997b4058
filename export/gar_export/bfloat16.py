# SPDX-License-Identifier: Apache-2.0
"""Products in bfloat16: in the vision graph, and computed in float32 where a runtime has none, as ONNX Runtime's CPU.

Only MatMul is in bfloat16; its inputs are rounded to it and its output leaves it at once. All else stays in float32,
which costs a GPU next to nothing, since it fuses what lies between two products. A float32 product of bfloat16 numbers
that is rounded to bfloat16 at the end is what a GPU computes, but for the order of its sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
from onnx import TensorProto, helper, numpy_helper

from gar_export.graph import BFLOAT16, EXTERNAL_DATA_BYTES
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import DECODER, MANIFEST, VISION, FileEntry

_IN_THE_GRAPH = 1024  # bytes; smaller constants stay there where others go to a file


def products_in_bfloat16(path: Path) -> None:
    """Rewrites the float32 graph `path`, and the file of its weights, so that each MatMul computes in bfloat16."""
    model = onnx.load(path)
    data = path.with_name(path.name + ".data")
    data.unlink(missing_ok=True)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type != "MatMul":
            graph.node.append(node)
            continue
        for index, name in enumerate(node.input):
            if name in constants:
                if constants[name].data_type == TensorProto.FLOAT:
                    rounded = numpy_helper.to_array(constants[name]).astype(BFLOAT16)
                    constants[name].CopyFrom(numpy_helper.from_array(rounded, name))
            else:
                node.input[index] = f"{node.output[0]}.input{index}"
                graph.node.append(_cast(name, node.input[index], TensorProto.BFLOAT16))
        output, node.output[0] = node.output[0], f"{node.output[0]}.bfloat16"
        graph.node.append(node)
        graph.node.append(_cast(node.output[0], output, TensorProto.FLOAT))
    external = model.ByteSize() > EXTERNAL_DATA_BYTES
    location = data.name if external else None
    onnx.save(model, path, save_as_external_data=external, location=location, size_threshold=_IN_THE_GRAPH)


def write_for_the_cpu(model_dir: Path, out: Path) -> None:
    """Writes the new model folder `out`: a bfloat16 model's graphs with each product computed in float32 and rounded.

    Weights in files of their own are the same files, by hard links where the file system has them. Raises GarError
    BAD_MODEL for a folder that can't be used.
    """
    model = ModelDir.open(model_dir)
    out.mkdir()
    dtypes = dict(model.manifest.dtypes)
    for name in model.manifest.files:
        if dtypes.get(name) == "bfloat16":
            dtypes[name] = "float32" if name == VISION else "float16"  # the decoder's KV cache is
            graph = computed_in_float32(onnx.load(model.file(name), load_external_data=False))
            (out / name).write_bytes(graph.SerializeToString(deterministic=True))
        else:
            _link(model.file(name), out / name)
    files = dict(model.manifest.files)
    for name in (VISION, DECODER):
        files[name] = FileEntry(sha256_of(out / name), (out / name).stat().st_size)
    manifest = msgspec.structs.replace(model.manifest, dtypes=dtypes, files=files)
    (out / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def computed_in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed: its products of bfloat16 numbers compute in float32 and are rounded to bfloat16."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.BFLOAT16}
    half = constants | {node.output[0] for node in graph.node if _casts_to_bfloat16(node)}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.extend(_in_float32(node) if node.op_type == "MatMul" and half >= set(node.input) else [node])
    return model


def _in_float32(product: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for index, name in enumerate(product.input):
        product.input[index] = f"{product.output[0]}.float{index}"
        yield _cast(name, product.input[index], TensorProto.FLOAT)
    output, product.output[0] = product.output[0], f"{product.output[0]}.float"
    yield product
    yield _cast(product.output[0], output, TensorProto.BFLOAT16)


def _casts_to_bfloat16(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == TensorProto.BFLOAT16


def _cast(source: str, target: str, element: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"Cast_{target}", to=element)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
