# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind the runner protocol: the same answers, shared memory, typed errors, and no word to its makers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.runtime.openvino import (
    LONG_INPUT,
    OpenVinoRuntime,
    OpenVinoTensor,
    PairedRunner,
    Standby,
    block_of,
    find_openvino,
)
from gar_ros.engine.runtime.protocol import DeviceTensor, on_host
from gar_ros.engine.runtime.select import open_runtime
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from tests.engine.runtime.starved import starved

QUESTION = "Is <Prompt0> to the left of <Prompt1>?"


@pytest.fixture(scope="module")
def model() -> ModelDir:
    return ModelDir.open(default_model_dir())


@pytest.fixture(scope="module")
def engine(model: ModelDir) -> GarEngine:
    return GarEngine(model, open_runtime(model, "openvino", 1, allow_fallback=False))


@pytest.fixture(scope="module")
def plain(model: ModelDir) -> GarEngine:
    """The same model in ONNX Runtime alone."""
    return GarEngine(model, open_runtime(model, "cpu", 1, allow_fallback=False))


@pytest.fixture
def scene() -> tuple[NDArray[np.uint8], list[Region]]:
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    return image, [
        Region.from_box("a", (10, 20, 90, 120), (400, 300)),
        Region.from_box("b", (200, 50, 290, 99), (400, 300)),
    ]


class Recorder:
    """A runner, and a runtime that loads it for any graph; it keeps what it was fed and gives one output."""

    def __init__(self, output: DeviceTensor) -> None:
        self.output = output
        self.fed: list[Mapping[str, Any]] = []

    def run(self, feeds: Mapping[str, Any]) -> Mapping[str, DeviceTensor]:
        self.fed.append(feeds)
        return {"present": self.output}

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(np.float32)

    def load(self, _: Path) -> Recorder:
        return self


def test_a_question_gets_onnx_runtimes_answer(
    engine: GarEngine, plain: GarEngine, scene: tuple[NDArray[np.uint8], list[Region]]
) -> None:
    assert engine.provider == "openvino"
    frames = [one.encode(*scene) for one in (plain, engine)]
    expected, found = (frame.ask(QUESTION, ["yes", "no"]).probabilities for frame in frames)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    expected_ids, found_ids = (frame.ask("What is <Prompt0>?", max_tokens=8).token_ids for frame in frames)
    assert found_ids == expected_ids


def test_features_differ_by_rounding_alone(
    engine: GarEngine, plain: GarEngine, scene: tuple[NDArray[np.uint8], list[Region]]
) -> None:
    expected, found = (on_host(one.encode_image(*scene).features) for one in (plain, engine))
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(np.abs(expected).max()))


def test_each_input_goes_to_the_runtime_that_is_faster(model: ModelDir) -> None:
    kept = OpenVinoTensor(find_openvino().Tensor(np.ones((1, 2), np.float32)))
    long, short = Recorder(kept), Recorder(kept)
    pair = PairedRunner(long, Path(DECODER), Standby(short))  # type: ignore[arg-type]
    for tokens in (LONG_INPUT, LONG_INPUT - 1, 1):
        pair.run({"inputs_embeds": np.zeros((1, tokens, 4), np.float32), "past": kept})
    assert [feeds["inputs_embeds"].shape[1] for feeds in long.fed] == [LONG_INPUT]
    assert [feeds["inputs_embeds"].shape[1] for feeds in short.fed] == [LONG_INPUT - 1, 1]
    (past, _) = (feeds["past"] for feeds in short.fed)
    assert np.shares_memory(past, kept.numpy())


def test_keys_and_values_go_from_one_runtime_to_the_other_and_back(engine: GarEngine, plain: GarEngine) -> None:
    """A prompt in OpenVINO, a token in ONNX Runtime, another text in OpenVINO: logits as ONNX Runtime's alone."""
    embeds = engine.decoder.embed(range(3, 3 + 3 * LONG_INPUT))
    pieces = [embeds[: 2 * LONG_INPUT], embeds[2 * LONG_INPUT : 2 * LONG_INPUT + 1], embeds[2 * LONG_INPUT + 1 :]]
    logits = []
    for decoder in (plain.decoder, engine.decoder):
        cache = decoder.empty
        for piece in (*pieces, embeds[:LONG_INPUT]):
            cache, last = decoder.prefill_logits(cache, piece, never_cancelled)
        logits.append(last)
    np.testing.assert_allclose(logits[1], logits[0], atol=3e-4 * float(np.abs(logits[0]).max()))


def test_outputs_outlive_later_runs_and_inputs_stay(model: ModelDir) -> None:
    runner = OpenVinoRuntime(1).load(model.graph(REPLAY))
    weights = np.ones((1, 8, 8), np.float32) / 8
    feeds: dict[str, NDArray[Any]] = {"tile_features": np.ones((1, 64, 192), np.float32), "wy": weights, "wx": weights}
    first = runner.run(feeds)["replay"].numpy()
    second = runner.run(feeds | {"tile_features": np.full((1, 64, 192), 2)})["replay"].numpy()  # int64: cast
    del runner
    np.testing.assert_allclose(first, 1, rtol=1e-5)
    np.testing.assert_allclose(second, 2, rtol=1e-5)
    assert (feeds["tile_features"] == 1).all()


def test_a_run_that_failed_costs_one_request(model: ModelDir) -> None:
    runner = OpenVinoRuntime(1).load(model.graph(REPLAY))
    weights = np.ones((1, 8, 8), np.float32) / 8
    good: dict[str, NDArray[Any]] = {"tile_features": np.ones((1, 64, 192), np.float32), "wy": weights, "wx": weights}
    for bad in (
        good | {"tile_features": np.ones((1, 64, 191), np.float32)},
        good | {"unknown": weights},
        {"wy": weights},
    ):
        with pytest.raises(GarError, match=r"^OpenVINO could not run replay\.onnx: \S") as caught:
            runner.run(bad)
        assert caught.value.code is ErrorCode.INTERNAL_ERROR
        assert caught.value.message.isprintable()
    np.testing.assert_allclose(runner.run(good)["replay"].numpy(), 1.0, rtol=1e-5)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / VISION
    path.write_text("not a graph")
    with pytest.raises(GarError, match=r"vision\.onnx' can't be loaded on openvino: \S") as caught:
        OpenVinoRuntime(1).load(path)
    assert caught.value.code is ErrorCode.BAD_MODEL


def test_a_graph_that_is_not_the_manifests_is_refused(model: ModelDir) -> None:
    profiles = graph_profiles(model.manifest)
    OpenVinoRuntime(1, profiles).load(model.graph(REPLAY))
    with pytest.raises(GarError, match="is not the graph that its manifest describes: expected"):
        OpenVinoRuntime(1, {REPLAY: profiles[DECODER]}).load(model.graph(REPLAY))


@pytest.mark.parametrize("block", [32, 128])
def test_activations_are_rounded_by_the_blocks_of_the_weights(tmp_path: Path, block: int) -> None:
    """MatMulNBits of 8 bits whose weights are all 1: the number 129, which stands for 129 - 128."""
    numbers, scales = np.full((4, 256 // block, block), 129, np.uint8), np.ones((4, 256 // block), np.float32)
    constants = [onnx.numpy_helper.from_array(array, name) for array, name in ((numbers, "q"), (scales, "s"))]
    sizes: dict[str, Any] = {"K": 256, "N": 4, "bits": 8, "block_size": block, "accuracy_level": 4}
    node = helper.make_node("MatMulNBits", ["x", "q", "s"], ["y"], domain="com.microsoft", **sizes)
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", size])
        for name, size in (("x", 256), ("y", 4))
    ]
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    assert block_of(find_openvino().Core().read_model(str(path))) == block
    found = OpenVinoRuntime(1).load(path).run({"x": np.ones((3, 256), np.float32)})["y"].numpy()
    np.testing.assert_allclose(found, 256, rtol=0.01)


def test_float_weights_have_no_block(model: ModelDir) -> None:
    assert block_of(find_openvino().Core().read_model(str(model.graph(REPLAY)))) == 0


def test_without_the_package_the_error_says_how_to_get_it(model: ModelDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(GarError, match=r"openvino is not available: .* run `pip install openvino`") as caught:
        open_runtime(model, "openvino", 1, allow_fallback=False)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert open_runtime(model, "openvino", 1, allow_fallback=True).provider == "cpu"


ALONE = """
import os, sys
from pathlib import Path
from gar_ros.engine.runtime.openvino import OpenVinoRuntime
OpenVinoRuntime(1).load(Path(sys.argv[1]))
print("openvino" in sys.modules, "openvino_telemetry" in sys.modules)
"""


def test_nothing_is_reported_or_left_on_the_disk(model: ModelDir, tmp_path: Path) -> None:
    """Beside the package that OpenVINO reports with, which would say so in the folder that is everybody's home here."""
    packages, home = tmp_path / "packages", tmp_path / "home"
    (packages / "openvino_telemetry").mkdir(parents=True)
    home.mkdir()
    report = f"from pathlib import Path\nPath({str(home / 'reported')!r}).touch()\n"
    (packages / "openvino_telemetry/__init__.py").write_text(report)
    path = os.pathsep.join([str(packages), *sys.path])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": str(home), "TMPDIR": str(home)}
    command = [sys.executable, "-B", "-c", ALONE, str(model.graph(REPLAY))]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment, check=False)
    assert ended.stdout.split() == ["True", "False"], ended.stderr
    assert list(home.iterdir()) == []


def test_a_process_without_memory_goes_on_when_it_has_some(model_dir: Path) -> None:
    """OpenVINO would crash then, in the decoder that failed: ONNX Runtime runs that and vision."""
    ended = starved(model_dir, "openvino")
    refused, answered, again = ended.stdout.splitlines()
    assert refused.startswith("INTERNAL_ERROR OpenVINO could not run decoder.onnx: out of memory; use fewer tiles")
    assert (answered, again) == ("1", "1")
    assert "OpenVINO failed: ONNX Runtime runs the model until it is loaded again" in ended.stderr
