# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime keeps on a device stays there from graph to graph: the calls for a GPU, made for the host's memory.

They are ONNX Runtime's own and no stand-ins; that its provider for CUDA does the same with them, only a GPU tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.runtime import ort
from gar_ros.engine.runtime.concat_graph import concat_graph
from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.engine.runtime.ort import OrtRunner, OrtRuntime
from gar_ros.engine.runtime.ort_device import OrtArray, OrtDevice
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.errors import OutOfMemoryError
from gar_ros.region import Region

ROWS = np.arange(12, dtype=np.float16).reshape(6, 2)


@pytest.fixture
def device() -> OrtDevice:
    return OrtDevice("cpu", onnxruntime.InferenceSession)


def test_slices_are_views_as_numpys(device: OrtDevice) -> None:
    array = device.upload(ROWS, np.float16)
    for index in (2, slice(1, 4), slice(0, 0), None, slice(4, None)):
        np.testing.assert_array_equal(array[index].numpy(), ROWS[index])
    assert [row.numpy().tolist() for row in array] == ROWS.tolist()
    assert (len(array), array.nbytes, array[1:3][1].nbytes) == (6, 24, 4)
    with pytest.raises(IndexError, match="without a step"):
        array[::2]


def test_rows_are_joined_in_the_devices_type(device: OrtDevice) -> None:
    array = device.upload(ROWS, np.float16)
    joined = device.join([array[4:], np.array([[0.1, -1]], np.float32), array[0:0], array[:1]])
    assert joined.dtype == np.float16
    np.testing.assert_array_equal(joined.numpy(), np.array([[8, 9], [10, 11], [0.1, -1], [0, 1]], np.float16))
    np.testing.assert_array_equal(device.join([array[2:3]]).numpy(), ROWS[2:3])
    assert len(device.join([array[0:0], np.empty((0, 2))])) == 0


def test_arrays_of_two_types_are_not_joined(device: OrtDevice) -> None:
    with pytest.raises(ValueError, match="expected rows of one type"):
        device.join([device.upload(ROWS, kind) for kind in (np.float16, np.float32)])


def test_the_first_positions_are_copied_and_the_others_stay(device: OrtDevice) -> None:
    source = device.upload(np.arange(24).reshape(1, 2, 3, 4), np.float32)
    target = device.upload(np.full((1, 2, 5, 4), -1), np.float32)
    device.copy_positions(source, target, 2)
    np.testing.assert_array_equal(target.numpy()[:, :, :2], source.numpy()[:, :, :2])
    assert (target.numpy()[:, :, 2:] == -1).all()


def test_an_output_is_written_over_an_input(device: OrtDevice) -> None:
    session = onnxruntime.InferenceSession(concat_graph(1, np.dtype(np.float32)))
    runner = OrtRunner(session, "cpu", on_device=device)
    buffer = runner.zeros("part0", (3, 2))
    assert isinstance(buffer, OrtArray)
    outputs = runner.run_in_place({"part0": buffer}, {"joined": "part0"})
    assert outputs["joined"] is buffer
    source: Any = device.upload(np.ones((3, 2)), np.float32)
    assert runner.run({"part0": source[1:]})["joined"].numpy().tolist() == [[1, 1], [1, 1]]


def test_joining_is_tried_again_after_caches_forgot(device: OrtDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cache:
        kept = True

        def forget(self) -> None:
            self.kept = False

    cache, join = Cache(), device.join

    def join_or_fail(parts: Any) -> OrtArray:
        if cache.kept:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 8")
        return join(parts)

    monkeypatch.setattr(device, "join", join_or_fail)
    runtime = OrtRuntime("cpu", 1)
    runtime._on_device, runtime._make_room = device, None
    with pytest.raises(OutOfMemoryError, match="could not run what joins features: out of memory"):
        runtime.join([ROWS])
    runtime._make_room = MakeRoom()
    runtime.on_full(cache.forget)
    assert len(runtime.join([ROWS])) == 6


def test_answers_do_not_depend_on_where_features_are_kept(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(5).integers(0, 256, (288, 288, 3), np.uint8)
    regions = [
        Region.from_box(name, box, (288, 288)) for name, box in {"a": (10, 20, 90, 99), "b": (99, 60, 270, 180)}.items()
    ]
    answers = []
    for stays_on in ({}, {"cpu": "cpu"}):
        monkeypatch.setattr(ort, "_STAYS_ON", stays_on)
        engine = GarEngine.open(model_dir, "cpu", threads=1)
        frame = engine.encode(image, regions)
        assert isinstance(frame.features, OrtArray) == bool(stays_on)
        video = engine.encode_video([(image, regions[0]), (image[::-1].copy(), regions[1])])
        question = "Is <Prompt0> left of <Prompt1>?"
        answers.append(
            (
                frame.ask(question, max_tokens=6).token_ids,
                frame.ask(question, ["yes", "no"]).probabilities,
                video.ask("What does <Prompt0> do?", max_tokens=4).token_ids,
                on_host(frame.features).tolist(),
                (frame.nbytes, engine.encoder.nbytes),
            )
        )
    assert answers[0] == answers[1]


def test_what_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names and values are those in libonnxruntime_providers_cuda.so of onnxruntime-gpu 1.31.1, which refuses
    others."""
    told: list[Any] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, providers: told.append(providers))
    OrtRuntime("cuda", 1)._open("vision.onnx")
    (providers,) = told
    options = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
    assert providers == [("CUDAExecutionProvider", options), ("CPUExecutionProvider", {})]
