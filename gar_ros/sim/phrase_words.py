# SPDX-License-Identifier: Apache-2.0
"""Words of phrases: what the tabletop's words mean, words for relations, and words that nothing on the table fits."""

from __future__ import annotations

import numpy as np

from gar_ros.sim.scene import COLOURS, FINISHES, SHAPES, SIZES

VALUES = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "finish": FINISHES}
SYNONYMS = {
    "big": ("size", "large"),
    "little": ("size", "small"),
    "cup": ("shape", "mug"),
    "sphere": ("shape", "ball"),
    "stripes": ("finish", "striped"),
}
VALUE_WORDS = {value: (name, value) for name, values in VALUES.items() for value in values} | SYNONYMS
"""Word -> the attribute and value that it stands for."""

THINGS = ("thing", "object", "one")
ANYTHINGS = ("something", "anything")

RELATION_WORDS = {
    "inside": ("inside", "in", "inside of"),
    "holding": ("holding", "containing", "around"),
    "on_top": ("on top of", "on", "standing on"),
    "under": ("under", "below"),
    "left_of": ("left of", "to the left of"),
    "right_of": ("right of", "to the right of"),
    "in_front": ("in front of",),
    "behind": ("behind",),
    "touching": ("touching",),
    "next_to": ("next to", "beside", "near"),
}
"""Relation of a phrase -> the words for it, usual ones first."""

_NOUNS = """
    giraffe elephant tiger horse cat dog bird fish monkey rabbit mouse snake spider frog whale banana apple pear lemon
    carrot potato tomato onion bread cheese egg cake pizza sandwich burger coffee tea milk water juice bottle glass
    plate fork knife spoon pan pot kettle toaster oven fridge sink towel sponge soap brush broom bucket hammer
    screwdriver wrench drill saw nail screw bolt nut gear spring wire cable plug socket lamp bulb candle torch battery
    charger phone laptop tablet keyboard monitor printer speaker headphones radio clock watch remote robot gripper arm
    hand finger foot face nose ear hair person man woman child baby doctor driver car truck bus train bicycle wheel
    tyre engine boat ship plane rocket helicopter drone road bridge house door window wall roof floor ceiling stairs
    ladder chair sofa bed desk shelf drawer cabinet mirror carpet curtain pillow blanket shirt shoe sock hat glove
    scarf belt coat button zip bag backpack suitcase wallet purse key lock coin ticket book page pen pencil eraser
    ruler scissors tape glue stapler paper envelope stamp letter map poster picture painting camera tripod lens flower
    tree leaf grass bush rock stone sand mountain river lake cloud sun moon star snow rain fire smoke guitar piano
    drum violin trumpet puzzle doll kite balloon dice chess token ring necklace crown pyramid cone triangle square
    tray tool table handle lid label basket jar tin crate pallet pipe valve sensor rope chain hook magnet marble
"""
FOREIGN_NOUNS = tuple(_NOUNS.split())
FOREIGN_PAIRS = (
    "door handle",
    "coffee machine",
    "teddy bear",
    "light switch",
    "traffic cone",
    "fire extinguisher",
    "paper clip",
    "water bottle",
    "tennis racket",
    "screw driver",
    "charging station",
    "robot arm",
    "picture frame",
    "milk carton",
    "tooth brush",
)
_ADJECTIVES = """
    shiny wooden metal plastic glass broken dirty wet heavy fluffy hairy square triangular pink brown grey silver golden
    turquoise transparent spotted dotted checkered flat bent rusty frozen hot angry sleepy expensive electric furry
    leather rubber beige violet crimson bright hollow solid folded torn sharp soft warm living talking flying
"""
FOREIGN_ADJECTIVES = tuple(_ADJECTIVES.split())
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def gibberish(rng: np.random.Generator) -> str:
    """Random letters, 3 to 9 of them, rarely with digits."""
    letters = _LETTERS if rng.random() < 0.85 else _LETTERS + "0123456789"
    return "".join(letters[int(i)] for i in rng.integers(len(letters), size=int(rng.integers(3, 10))))
