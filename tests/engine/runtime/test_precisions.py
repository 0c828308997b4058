# SPDX-License-Identifier: Apache-2.0
"""Which provider runs which precision, and what is said where one can't. Manifests alone decide: no GPU is asked."""

from __future__ import annotations

import dataclasses
import sys

import msgspec
import onnxruntime
import pytest

from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION, NumberType
from gar_ros.engine.runtime.precisions import check_precision, providers_of
from gar_ros.engine.runtime.select import open_runtime
from gar_ros.errors import ErrorCode, GarError

PRECISIONS: dict[str, tuple[NumberType, NumberType, NumberType]] = {
    "fp32": ("float32", "float32", "float32"),
    "fp16": ("float16", "float16", "float16"),
    "bf16": ("bfloat16", "float32", "bfloat16"),
    "int4-gpu": ("float16", "float16", "int4-float16"),
    "int8": ("float32", "float32", "int8"),
    "int4": ("float32", "float32", "int4"),
    "mixed": ("int8", "float32", "int4"),
}
"""Name -> numbers of vision, replay and decoder."""


def model_of(precision: str) -> ModelDir:
    """gar-tiny's folder as if it had been exported so; its graphs stay float32."""
    model = ModelDir.open(default_model_dir())
    dtypes = dict(zip((VISION, REPLAY, DECODER), PRECISIONS[precision], strict=True))
    manifest = msgspec.structs.replace(model.manifest, dtypes={**model.manifest.dtypes, **dtypes})
    return dataclasses.replace(model, manifest=manifest)


@pytest.mark.parametrize(
    ("precision", "able"),
    [
        ("fp32", {"tensorrt", "cuda", "cpu", "openvino"}),
        ("fp16", {"tensorrt", "cuda", "cpu", "openvino"}),
        ("bf16", {"tensorrt"}),
        ("int4-gpu", {"tensorrt", "cuda", "cpu"}),
        ("int8", {"cuda", "cpu", "openvino"}),
        ("int4", {"cuda", "cpu", "openvino"}),
        ("mixed", {"cuda", "cpu", "openvino"}),
    ],
)
def test_providers_of_each_precision(precision: str, able: set[str]) -> None:
    manifest = model_of(precision).manifest
    assert set(providers_of(manifest)) - {"tensorrt-ort"} == able
    for provider in ("tensorrt", "cuda", "cpu", "openvino"):
        if provider in able:
            check_precision(manifest, provider)
        else:
            with pytest.raises(GarError, match=f"{provider} can't run this precision: ") as caught:
                check_precision(manifest, provider)
            assert caught.value.code == ErrorCode.BAD_MODEL


def test_the_error_names_the_graphs_their_numbers_and_both_ways_out() -> None:
    with pytest.raises(GarError) as caught:
        open_runtime(model_of("bf16"), "cpu", threads=1, allow_fallback=False)
    assert caught.value.message == (
        "cpu was asked for; cpu is not available: cpu can't run this precision: vision.onnx has bfloat16 products, "
        "decoder.onnx has bfloat16 products, which tensorrt can; or export the model again with "
        "`gar export --precision int4`"
    )


@pytest.fixture
def nothing_but_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for name in ("tensorrt", "tensorrt_rtx", "cuda.bindings.runtime"):
        monkeypatch.setitem(sys.modules, name, None)


def test_the_choice_tells_why_no_provider_serves(nothing_but_cpu: None) -> None:
    """The CPU's refusal doesn't hide what the GPU lacks."""
    with pytest.raises(GarError) as caught:
        open_runtime(model_of("bf16"), "auto", threads=1, allow_fallback=False)
    reasons = caught.value.message.split("; ")
    assert any(reason.startswith("tensorrt is not available: ") for reason in reasons)
    assert any(reason.startswith("cuda is not available: cuda can't run this precision") for reason in reasons)
    assert any(reason.startswith("cpu is not available: cpu can't run this precision") for reason in reasons)


def test_a_decoder_for_the_cpu_is_served_by_the_next_provider(nothing_but_cpu: None) -> None:
    runtime = open_runtime(model_of("int4"), "auto", threads=1, allow_fallback=False)
    assert runtime.provider == "cpu"


def test_info_tells_what_runs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(default_model_dir())]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("runs on")]
    assert {"tensorrt", "cuda", "cpu", "openvino"} <= set(line.removeprefix("runs on").strip().split(", "))
