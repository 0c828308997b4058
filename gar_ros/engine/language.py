# SPDX-License-Identifier: Apache-2.0
"""The language side of a model, which an encoded frame uses to answer questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gar_ros.engine.decoder import Decoder
from gar_ros.engine.model_dir.manifest import Sizes, Tokens
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows


@dataclass(frozen=True)
class Language:
    """The language side of one model. join: concatenates rows of features where the runtime keeps them."""

    prompts: PromptBuilder
    decoder: Decoder
    sizes: Sizes
    tokens: Tokens
    join: Callable[[Sequence[NDArray[Any] | DeviceTensor]], Rows]
