# SPDX-License-Identifier: Apache-2.0
"""`gar info`: what an exported model folder holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import Manifest
from gar_ros.engine.runtime.precisions import in_words, providers_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar info`."""
    parser.add_argument("model", nargs="?", type=Path, metavar="DIR", help="(default: the shipped gar-tiny)")
    parser.add_argument("--json", action="store_true", help="print manifest.json as it is")


def run(args: argparse.Namespace) -> int:
    """Prints the manifest of a folder whose files were checked. Raises GarError BAD_MODEL."""
    model = ModelDir.open(args.model or default_model_dir())
    print(model.manifest.to_json() if args.json else _as_text(model.path, model.manifest), end="")
    return 0


def _as_text(path: Path, manifest: Manifest) -> str:
    sizes, tiles = manifest.sizes, manifest.tiles
    rows = {
        "model": manifest.name,
        "folder": f"{path} (all files as exported)",
        "image": f"at most {tiles.max_tiles} tiles of {sizes.tile} px{' and a thumbnail' if tiles.thumbnail else ''}, "
        f"patches of {sizes.patch} px, {sizes.tile_tokens} tokens a tile",
        "regions": f"at most {len(manifest.tokens.prompts)} in a question, {sizes.tile_tokens} replay tokens each, "
        f"RoI convention {manifest.roi_convention}",
        "decoder": f"{sizes.layers} layers of width {sizes.hidden}, {sizes.heads} heads of {sizes.head_dim} "
        f"({sizes.kv_heads} for keys and values), {sizes.vocab} tokens, context of {sizes.max_positions}",
        "runs on": ", ".join(providers_of(manifest)) or "no provider",
        "made by": _pairs(manifest.made_by),
        "source": _pairs(manifest.source),
    }
    if manifest.notice:
        rows["notice"] = manifest.notice
    lines = [f"{name:8} {value}" for name, value in rows.items()]
    for name, entry in sorted(manifest.files.items()):
        lines.append(f"{'file':8} {name}  {entry.bytes:,} bytes  {in_words(manifest.dtypes.get(name, ''))}".rstrip())
    return "\n".join(lines) + "\n"


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))
