# SPDX-License-Identifier: Apache-2.0
"""`gar bench ferret-bench`: a description of every region of Ferret-Bench, as GAR's released evaluation writes them.

It asks for a description, not the item's question. The judge is GPT-4o and no part of this.
"""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from gar_ros.bench.captions import Captioned, Marked, add_caption_arguments, write_captions
from gar_ros.bench.files import Place
from gar_ros.bench.journal import Record


class _Annotation(msgspec.Struct):
    segmentation: Any


class _Item(msgspec.Struct):
    """The keys that are read."""

    image: str
    annotation: _Annotation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench ferret-bench`."""
    add_caption_arguments(parser, "box_refer_caption.json of the released evaluation", "COCO's val2017")


def run(args: argparse.Namespace) -> int:
    """Writes [{image_path, annotation, caption}] and prints what was answered. Raises GarError."""
    return write_captions(args, "ferret-bench", _marked, _prediction)


def _marked(source: Any, place: Place) -> Marked:
    item = place.read(source, _Item)
    return Marked(item.image, "image", item.annotation.segmentation, "annotation.segmentation")


def _prediction(item: Captioned) -> Record:
    return {"image_path": item.image("image"), "annotation": item.source.get("annotation"), "caption": item.caption}
