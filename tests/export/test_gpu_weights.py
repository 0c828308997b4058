# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits for GPUs: rounding, and what runtimes make of the standard operators that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from gar_export.gpu_weights import block_of, dequantised, quantise_symmetric
from gar_export.graph import GraphBuilder, packed_int4
from gar_export.quantise import quantise
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.errors import ErrorCode, GarError


def test_numbers_go_from_minus_8_to_7_and_scales_are_positive() -> None:
    """Of the first row -8 is the end, so a step is 1; of the second 7, though a step of 7 / 8 would reach further."""
    rows = np.zeros((2, 32), np.float32)
    rows[0, :4] = [-8, 4, 0.4, 0.6]
    rows[1, :4] = [7, -7, 3.4, 0]
    stored = quantise_symmetric(rows, 4, np.float16)
    assert stored.scales.tolist() == [[1, 1]]
    assert stored.numbers[:4].T.tolist() == [[-8, 4, 0, 1], [7, -7, 3, 0]]
    assert stored.rows()[:, :4].tolist() == [[-8, 4, 0, 1], [7, -7, 3, 0]]


def test_8_bits_share_a_scale_by_outputs() -> None:
    """127 is the end of either sign, so a step of the first row is 1 and of the second 2."""
    rows = np.array([[-127, 9.4, 8, 0], [254, -3.2, 0, 1.2]], np.float32)
    stored = quantise_symmetric(rows, 8, np.float16)
    assert stored.attributes == {"axis": 1}
    assert stored.scales.tolist() == [1, 2]
    assert stored.numbers.T.tolist() == [[-127, 9, 8, 0], [127, -2, 0, 1]]
    assert stored.rows().tolist() == [[-127, 9, 8, 0], [254, -4, 0, 2]]


@pytest.mark.parametrize(("inputs", "block"), [(2048, 128), (8192, 128), (192, 64), (288, 32)])
def test_blocks_are_the_largest_that_divide_the_inputs(inputs: int, block: int) -> None:
    assert block_of(inputs) == block
    stored = quantise_symmetric(np.ones((3, inputs), np.float32), 4, np.float16)
    assert stored.attributes == {"axis": 0, "block_size": block}


def test_layers_that_no_block_divides_are_refused() -> None:
    with pytest.raises(GarError, match=r"a multiple of 32 inputs .*, got 40: export with --precision fp16") as caught:
        block_of(40)
    assert caught.value.code == ErrorCode.BAD_MODEL


def test_a_block_of_zeros_stays_zero() -> None:
    for bits in (4, 8):
        assert not quantise_symmetric(np.zeros((2, 64), np.float32), bits, np.float16).rows().any()


def test_rounding_costs_hardly_more_than_with_scales_of_either_sign() -> None:
    """Of normal weights, by the same blocks: both move them by a tenth of their length; 8 bits by less than 1 %."""
    rows = np.random.default_rng(0).normal(size=(100, 1280)).astype(np.float32)
    free, positive = quantise(rows, bits=4).rows(), quantise_symmetric(rows, 4, np.float16).rows()
    lost = [float(np.linalg.norm(found - rows) / np.linalg.norm(rows)) for found in (free, positive)]
    assert lost[0] < lost[1] < 1.05 * lost[0] < 0.105
    assert np.linalg.norm(quantise_symmetric(rows, 8, np.float16).rows() - rows) < 0.01 * np.linalg.norm(rows)


def test_pieces_of_a_large_matrix_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    whole = [quantise_symmetric(rows, bits, np.float16).rows() for bits in (4, 8)]
    monkeypatch.setattr("gar_export.gpu_weights._PIECE", 4)
    for bits, expected in zip((4, 8), whole, strict=True):
        np.testing.assert_array_equal(quantise_symmetric(rows, bits, np.float16).rows(), expected)


def test_two_numbers_share_a_byte_the_first_in_its_lower_half() -> None:
    assert packed_int4(np.array([[-8, 7], [1, 0], [-1, 0]], np.int8)).tolist() == [0x78, 0x01, 0x0F]
    assert packed_int4(np.array([3], np.int8)).tolist() == [0x03]


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize(("bits", "outputs"), [(4, 6), (8, 7)])
def test_the_runtime_reads_the_numbers_as_meant(bits: int, outputs: int, external: bool, tmp_path: Path) -> None:
    """With an odd number of outputs a byte holds the end of one row and the begin of the next."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(outputs, 96)).astype(np.float32)
    x = generator.normal(size=(3, 96)).astype(np.float16)
    path = product_graph(tmp_path / "product.onnx", rows, bits, external)
    found = OrtRuntime("cpu", 1).load(path).run({"x": x})["y"].numpy()
    expected = x.astype(np.float32) @ quantise_symmetric(rows, bits, np.float16).rows().T
    np.testing.assert_allclose(found, expected, atol=2e-2, rtol=2e-3)
    assert (tmp_path / "product.onnx.data").exists() == external
    onnx.checker.check_model(path, full_check=True)


def test_the_cpu_computes_with_activations_that_are_not_rounded(tmp_path: Path) -> None:
    """As a GPU does. By default ONNX Runtime would round them to int8, which moves the product twenty times as far."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(8, 256)).astype(np.float32)
    x = generator.normal(size=(3, 256)).astype(np.float16)
    path = product_graph(tmp_path / "product.onnx", rows, 4, external=False)
    expected = x.astype(np.float32) @ quantise_symmetric(rows, 4, np.float16).rows().T
    by_default = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    found = OrtRuntime("cpu", 1).load(path).run({"x": x})["y"].numpy()
    assert 10 * np.abs(found - expected).max() < np.abs(by_default - expected).max()


def product_graph(path: Path, rows: np.ndarray, bits: int, external: bool) -> Path:
    """The graph x [rows, K] float16 -> y, the product with a weight [N, K]."""
    graph = GraphBuilder("product", path, external)
    x = graph.input("x", np.float16, ["rows", rows.shape[1]])
    graph.op("MatMul", x, dequantised(graph, "w", rows, bits, np.float16), out="y")
    graph.output("y", np.float16, ["rows", len(rows)])
    graph.save()
    return path
