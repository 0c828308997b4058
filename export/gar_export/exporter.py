# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint folder to the model folder that the runtime loads."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace as replace_fields
from importlib import metadata
from pathlib import Path

import torch

from gar_export.bfloat16 import products_in_bfloat16
from gar_export.checkpoint import EMBEDDING, Weights, load_model
from gar_export.config import NOTICE_FILE, GarConfig
from gar_export.decoder_graph import DecoderWriter, write_decoder
from gar_export.graph import BFLOAT16
from gar_export.precision import PRECISIONS, Precision
from gar_export.replace import check_replaceable, clean_up, part_of, replace
from gar_export.replay_graph import write_replay
from gar_export.split_decoder_graph import SplitDecoderWriter
from gar_export.static_decoder_graph import StaticDecoderWriter
from gar_export.table import write_table
from gar_export.tokens import read_prompts
from gar_export.vision_bits import quantise_vision
from gar_export.vision_graph import write_vision
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import (
    DECODER,
    EMBEDDINGS,
    MANIFEST,
    NOTICE_FORM,
    REPLAY,
    TOKENIZER,
    VISION,
    FileEntry,
    KvForm,
    Manifest,
    is_showable,
)
from gar_ros.errors import ErrorCode, GarError
from gar_ros.progress import timed_lines

_TOOLS = ("gar_ros", "torch", "transformers", "timm", "onnx", "onnxscript")

_DECODER_WRITERS: dict[KvForm, type[DecoderWriter]] = {
    "joined": DecoderWriter,
    "split": SplitDecoderWriter,
    "static": StaticDecoderWriter,
}

Progress = Callable[[str], None]


def export_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    name: str | None = None,
    precision: str = "fp32",
    notice: str | None = None,
    progress: Progress | None = None,
    kv_cache: KvForm | None = None,
    max_positions: int | None = None,
) -> Manifest:
    """Writes the model folder `out` of a checkpoint folder; `name` is the checkpoint folder's by default.

    precision: a key of PRECISIONS. notice: the manifest's, by default the text of the checkpoint's `notice.txt`.
    kv_cache: how the decoder takes its KV cache, by default as suits the precision. max_positions: the longest prompt
    with its answer, in tokens; by default the checkpoint's.

    The folder appears only when it is complete, and replaces one only if that holds nothing but an exported model, its
    README.md and `checkpoint`, which both stay.
    Raises GarError BAD_MODEL for a checkpoint that can't be used, INVALID_REQUEST for an `out` that can't be replaced
    or a notice that can't be shown, or for more positions than the checkpoint has.
    """
    checkpoint, out = Path(checkpoint).resolve(), Path(out).resolve()
    progress = progress or timed_lines()
    notice = _notice(checkpoint) if notice is None else notice
    if not is_showable(notice):
        got = f"{ascii(notice)[:80]} ({len(notice)} characters)"
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected the notice to be {NOTICE_FORM}, got {got}")
    kept = {"README.md"} | ({checkpoint.name} if checkpoint.parent == out else set())
    clean_up(out)
    check_replaceable(out, kept)
    part = part_of(out)
    part.mkdir(parents=True)
    try:
        name = name or checkpoint.name
        chosen = PRECISIONS[precision]
        config = _shortened(GarConfig.read(checkpoint), max_positions)
        form = kv_cache or chosen.kv_cache
        manifest = _write_folder(checkpoint, config, out, part, name, notice, chosen, form, progress)
        replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    progress(f"wrote {out}: {sum(entry.bytes for entry in manifest.files.values()) / 1e6:.1f} MB")
    return manifest


def weights_sha256(weights: Weights) -> str:
    """SHA-256 of a checkpoint's weight file; of several shards, that of their hexadecimal digests in order of names."""
    if len(weights.files) == 1:
        return sha256_of(weights.files[0])
    return hashlib.sha256("".join(sha256_of(path) for path in weights.files).encode()).hexdigest()


def _write_folder(
    checkpoint: Path,
    config: GarConfig,
    out: Path,
    part: Path,
    name: str,
    notice: str,
    precision: Precision,
    kv_cache: KvForm,
    progress: Progress,
) -> Manifest:
    progress(f"reading {checkpoint}")
    weights = Weights(checkpoint)
    tokens, prompt_format = read_prompts(checkpoint, config)
    dtype = precision.around_products
    model = load_model(config, weights, decoder=False, dtype=getattr(torch, dtype.name))
    progress(f"{VISION}: tracing {len(model.vit.blocks)} layers, {config.vision_width} wide")
    write_vision(part / VISION, model)
    if precision.vision_bits:
        quantise_vision(part / VISION, precision.vision_bits)
    if precision.graphs == BFLOAT16:
        products_in_bfloat16(part / VISION)
    progress(REPLAY)
    write_replay(part / REPLAY, config, dtype)
    inv_freq = model.inv_freq.numpy()
    del model
    progress(EMBEDDINGS)
    table = write_table(part / EMBEDDINGS, weights.read(EMBEDDING, getattr(torch, precision.table.name)).numpy())
    progress(f"{DECODER}: writing {config.decoder.layers} layers, {config.decoder.hidden} wide")
    writer, tail = _DECODER_WRITERS[kv_cache], precision.tail(kv_cache)
    write_decoder(part / DECODER, config, weights, inv_freq, precision.graphs, precision.bits, table, writer, tail)
    shutil.copyfile(checkpoint / TOKENIZER, part / TOKENIZER)
    progress("hashing")
    manifest = Manifest(
        name=name,
        sizes=config.sizes(),
        tiles=config.tile_rule(),
        tokens=tokens,
        prompt=prompt_format,
        roi_convention=config.roi_convention,
        dtypes=precision.dtypes(),
        files={path.name: FileEntry(sha256_of(path), path.stat().st_size) for path in sorted(part.iterdir())},
        made_by={tool: _version(tool) for tool in _TOOLS},
        source={"checkpoint": os.path.relpath(checkpoint, out), "sha256": weights_sha256(weights)},
        kv_cache=kv_cache,
        tail=tail,
        notice=notice,
    )
    (part / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _shortened(config: GarConfig, max_positions: int | None) -> GarConfig:
    """The config with a shorter context."""
    if max_positions is None:
        return config
    if not 0 < max_positions <= config.decoder.max_positions:
        expected = f"1 to {config.decoder.max_positions} positions, which the checkpoint has"
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected {expected}, got {max_positions}")
    return replace_fields(config, decoder=replace_fields(config.decoder, max_positions=max_positions))


def _notice(checkpoint: Path) -> str:
    """What a checkpoint's users must know; empty where it says nothing."""
    file = checkpoint / NOTICE_FILE
    return " ".join(file.read_text(encoding="utf-8", errors="replace").split()) if file.is_file() else ""


def _version(tool: str) -> str:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return "not installed"  # gar_ros itself, run from a source checkout
