# SPDX-License-Identifier: Apache-2.0
"""`gar bench mdvp-bench`: a caption for every region of MDVP-Bench, as GAR's released evaluation writes them.

The judge is GPT-4o and no part of this.
"""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from gar_ros.bench.captions import Captioned, Marked, add_caption_arguments, write_captions
from gar_ros.bench.files import Place
from gar_ros.bench.journal import Record


class _Item(msgspec.Struct):
    """The keys that are read."""

    image: str = msgspec.field(name="image_path")
    mask: Any = msgspec.field(name="mask_rle")
    caption: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench mdvp-bench`."""
    add_caption_arguments(
        parser, "mdvp_caption_mask.json of the released evaluation", "the data folder of the released evaluation"
    )


def run(args: argparse.Namespace) -> int:
    """Writes [{image_path, caption, gt}] and prints what was answered. Raises GarError."""
    return write_captions(args, "mdvp-bench", _marked, _prediction)


def _marked(source: Any, place: Place) -> Marked:
    item = place.read(source, _Item)
    return Marked(item.image, "image_path", item.mask, "mask_rle")


def _prediction(item: Captioned) -> Record:
    return {"image_path": item.image("image_path"), "caption": item.caption, "gt": item.source.get("caption")}
