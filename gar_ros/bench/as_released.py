# SPDX-License-Identifier: Apache-2.0
"""GAR-Bench's items asked with the oddities of the released evaluation, for `gar bench gar-bench --as-released`.

docs/released_code.md has these oddities: a region beyond the model's prompts is named and gets crop tokens, but neither
mask nor replay tokens; every region is replayed from the last one's box; the text begins with two start tokens. The
order of the prompts, which the released code leaves to Python's hash seed, can't be known: it is from <Prompt0> up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count as numbers_from
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.harness import Job
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.prompt import Form, PromptBuilder
from gar_ros.engine.prompt_spelling import REFERENCE
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region

_FIRST_CROP = 2  # <Prompt0>'s crop token is <|reserved_special_token_2|>


class ReleasedPrompts(PromptBuilder):
    """Token ids as the released evaluation makes them, for as many regions as the tokenizer has crop tokens for.

    A <PromptN> beyond the model's prompts is no token of its own there: its characters are read.
    """

    def __init__(self, model: ModelDir) -> None:
        """Raises GarError BAD_MODEL as `PromptBuilder` does."""
        tokenizer = model.tokenizer()
        super().__init__(model.manifest.tokens, model.manifest.prompt, model.manifest.sizes.tile_tokens, tokenizer)
        crops = map(_crop_name, numbers_from(len(self._tokens.crops)))
        self._further = list(takewhile(self._control_ids.__contains__, crops))

    @property
    def max_regions(self) -> int:
        """Number of regions that have a crop token; those of the model's prompts are asked with features."""
        return len(self._tokens.prompts) + len(self._further)

    def prefix(self, form: Form, tiles: int, count: int) -> list[int]:
        """See `PromptBuilder.prefix`; two start tokens, and each further crop token tile_tokens times."""
        further = {self._control_ids[name] for name in self._further}
        ids = super().prefix(form, tiles, count)
        repeated = [id for id in ids for id in [id] * (self._tile_tokens if id in further else 1)]
        return [self._tokens.bos, *repeated]

    def _regions(self, form: Form, count: int) -> str:
        known = len(self._tokens.prompts)
        names, line_end, crops = super()._regions(form, min(count, known)).partition("\n")
        for number in range(known, count):
            names += f"<Prompt{number}>; "
            crops += f"\n<Prompt{number}>: {self._further[number - known]}"
        return names + line_end + crops

    def _user_ids(self, text: str, count: int) -> list[int]:
        for match in REFERENCE.finditer(text):
            if int(match[1][:9]) >= count:
                raise GarError(
                    ErrorCode.PROMPT_WITHOUT_REGION, f"expected a region for {match[0]}, got {count} region(s)"
                )
        return self._template_ids(text)


@dataclass(frozen=True)
class ReleasedJob(Job):
    """A question about one image, asked as the released evaluation asks it. model: the engine's folder."""

    model: Path = field(kw_only=True)

    def anywhere(self) -> ReleasedJob:
        """See `Task`."""
        return replace(self, image=self.image.absolute(), model=self.model.absolute())

    def prompts(self, engine: GarEngine) -> int:
        """See `Job`."""
        return released_prompts(self.model).max_regions

    def encode(
        self, engine: GarEngine, image: NDArray[np.uint8], regions: Sequence[Region], max_tiles: int | None
    ) -> EncodedFrame:
        """See `Job`."""
        return encode_as_released(engine, released_prompts(self.model), image, regions, max_tiles)


@cache
def released_prompts(model: Path) -> ReleasedPrompts:
    """Those of a model folder. Raises GarError BAD_MODEL."""
    return ReleasedPrompts(ModelDir.open(model))


def encode_as_released(
    engine: GarEngine,
    prompts: ReleasedPrompts,
    image: NDArray[np.uint8],
    regions: Sequence[Region],
    max_tiles: int | None,
) -> EncodedFrame:
    """The encoded frame of an RGB image (H, W, 3) uint8. prompts: of the engine's model. max_tiles: None for its own.

    Raises GarError INVALID_REQUEST, QUESTION_TOO_LONG.
    """
    last = regions[-1].box
    seen = [replace(region, box=last) for region in regions[: engine.prompts.max_regions]]
    encoded = engine.encode_image(image, seen, max_tiles)
    language = replace(engine.language, prompts=prompts)
    return EncodedFrame(language, tuple(regions), encoded.features, encoded.replay, encoded.seconds)


def _crop_name(number: int) -> str:
    return f"<|reserved_special_token_{number + _FIRST_CROP}|>"
