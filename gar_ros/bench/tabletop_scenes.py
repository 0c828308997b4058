# SPDX-License-Identifier: Apache-2.0
"""What `gar bench tabletop` asks: rendered scenes, regions as a detector gives them, questions with exact answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from gar_ros.sim.generate import random_scene
from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import Scene
from gar_ros.sim.transforms import to_vec3
from gar_ros.sim.truth import scene_truth

CAPTION_FORM = "caption_form"  # kind of the released caption request, which has no text
REGION_COUNTS = (1, 2, 3)
QUESTIONS = 8  # about one choice of regions
PHRASES = 4  # further ones with phrases and other wordings
CHANGES = ("mask", "box", "eroded", "dilated", "shifted")


@dataclass(frozen=True)
class RegionChange:
    """How regions differ from the true masks. pixels: of the picture; 0 for "mask" and "box"."""

    how: str = "mask"
    pixels: int = 0

    @classmethod
    def parse(cls, text: str) -> RegionChange:
        """From "mask", "box", "eroded:2", "dilated:2" or "shifted:2". Raises GarError INVALID_REQUEST."""
        how, _, amount = text.partition(":")
        sized = how in CHANGES[2:]
        if how not in CHANGES or sized != amount.isdecimal() or (sized and int(amount) == 0):
            expected = "mask, box, eroded:N, dilated:N or shifted:N with N pixels"
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected regions as {expected}, got '{text}'")
        return cls(how, int(amount) if sized else 0)

    def apply(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        """The changed mask (H, W); as it was where nothing would be left of it."""
        kernel = np.ones((2 * self.pixels + 1, 2 * self.pixels + 1), np.uint8)
        result = mask
        if self.how == "eroded":
            result = cv2.erode(mask.astype(np.uint8), kernel) > 0
        elif self.how == "dilated":
            result = cv2.dilate(mask.astype(np.uint8), kernel) > 0
        elif self.how == "shifted":
            angle = rng.uniform(0, 2 * np.pi)
            result = _shifted(mask, round(self.pixels * np.cos(angle)), round(self.pixels * np.sin(angle)))
        elif self.how == "box":
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            result = np.zeros_like(mask)
            result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        return result if result.any() else mask


def _shifted(mask: NDArray[np.bool_], right: int, down: int) -> NDArray[np.bool_]:
    height, width = mask.shape
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST) > 0


@dataclass(frozen=True)
class Setting:
    """How scenes are drawn and regions given. size: (width, height) in pixels. objects: fewest and most. jpeg: quality
    1..100, None for none. any_table: tables of any colour."""

    size: tuple[int, int] = (640, 480)
    objects: tuple[int, int] = (3, 8)
    regions: RegionChange = RegionChange()
    jpeg: int | None = None
    any_table: bool = False


@dataclass(frozen=True)
class Asked:
    """Questions about the same regions of one picture. image: RGB (H, W, 3) uint8; <PromptN> is regions[N]. others: the
    picture's other regions, of which a detector would tell too."""

    seed: int
    image: NDArray[np.uint8]
    regions: tuple[Region, ...]
    others: tuple[Region, ...]
    questions: tuple[Question, ...]


def asked_about(renderer: TabletopRenderer, seed: int, setting: Setting) -> Iterator[Asked]:
    """What is asked about the scene of a seed, the same each time: with one, two and three regions, if it has them."""
    rng = np.random.default_rng(seed)
    phrase_rng = np.random.default_rng((seed, 1))  # its own, so that the other questions don't depend on phrases
    scene = random_scene(seed, setting.objects)
    picture = renderer.render(_on_any_table(scene, rng) if setting.any_table else scene, depth=False)
    image = picture.rgb if setting.jpeg is None else _compressed(picture.rgb, setting.jpeg)
    truth = scene_truth(scene, picture.labels)
    for count in REGION_COUNTS:
        objects = pick_regions(truth, count, rng)
        if not objects:
            continue
        masks = [setting.regions.apply(picture.labels == item + 1, rng) for item in objects]
        regions = tuple(Region.from_mask(str(item), mask) for item, mask in zip(objects, masks, strict=True))
        questions = questions_for(truth, objects, rng, QUESTIONS)
        if count == 1:
            questions += [_in_caption_form(one) for one in questions_for(truth, objects, rng, 1, ("caption",))]
        questions += questions_for(truth, objects, phrase_rng, PHRASES, tuple(PHRASE_KINDS))
        rest = [int(item) for item in np.flatnonzero(truth.askable) if item not in objects]
        others = tuple(
            Region.from_mask(str(item), setting.regions.apply(picture.labels == item + 1, rng)) for item in rest
        )
        yield Asked(seed, image, regions, others, tuple(questions))


def _in_caption_form(question: Question) -> Question:
    return replace(question, kind=CAPTION_FORM, text="")


def _on_any_table(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(scene, table_rgb=to_vec3(rng.uniform(0.12, 0.88, 3)))


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
