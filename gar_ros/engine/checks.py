# SPDX-License-Identifier: Apache-2.0
"""Checks of a request to the engine, made before it costs a vision pass. Each raises GarError or returns None."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.engine.runtime.failures import FULL, failure, first_line
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region, check_regions


@contextmanager
def failures_are_typed() -> Iterator[None]:
    """Raises OutOfMemoryError where its body runs out of memory, after which the model and what is kept stay usable,
    and GpuLostError where the GPU fails for good. Other defects of its body pass."""
    try:
        yield
    except GarError:
        raise
    except Exception as error:
        told = failure("the model could not be run", first_line(error), FULL if isinstance(error, MemoryError) else 0)
        if type(told) is GarError:
            raise
        raise told from error


def check_image(image: NDArray[np.uint8], regions: Sequence[Region], max_regions: int) -> None:
    """Raises GarError INVALID_REQUEST unless the image is RGB (H, W, 3) uint8 and has regions with masks of its size.

    Raises GarError TOO_MANY_REGIONS for more than `max_regions`.
    """
    is_rgb = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not is_rgb or image.dtype != np.uint8:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected an RGB image (H, W, 3) uint8, got {got}")
    if not regions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one region, got none")
    check_regions(tuple(regions), (image.shape[1], image.shape[0]), max_regions)


def check_max_tiles(max_tiles: int | None, limit: int) -> None:
    """Raises GarError INVALID_REQUEST unless `max_tiles` is None or in 1..limit, the model's number."""
    if max_tiles is not None and not 1 <= max_tiles <= limit:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected max_tiles in 1..{limit} (the model's), got {max_tiles}")


def check_context(tiles: int, regions: int, sizes: Sizes) -> None:
    """Raises GarError QUESTION_TOO_LONG when the tokens of tiles and regions leave no room for a question."""
    taken = (tiles + regions) * sizes.tile_tokens
    if taken >= sizes.max_positions:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG,
            f"expected tiles and regions of fewer tokens than the model's {sizes.max_positions}, got {taken} for "
            f"{tiles} tiles and {regions} region(s); use fewer tiles or regions",
        )


def check_room(question: int, prefix: int, answer: int, sizes: Sizes) -> None:
    """Raises GarError QUESTION_TOO_LONG when prefix, question and answer exceed the model's context, in tokens."""
    room = sizes.max_positions - prefix - answer
    if question > room:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG,
            f"expected a question of at most {max(room, 0)} tokens, got {question}: of the model's context of "
            f"{sizes.max_positions}, {prefix} are taken before it and up to {answer} by the answer; shorten the "
            "question or the answer, or use fewer tiles",
        )


def check_frames(frames: int, limit: int) -> None:
    """Raises GarError INVALID_REQUEST unless a video has 1..limit frames, the model's number of crop tokens."""
    if not 1 <= frames <= limit:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected 1 to {limit} frames (the model has {limit} crop tokens), got {frames}"
        )


def check_max_tokens(max_tokens: int) -> None:
    """Raises GarError INVALID_REQUEST unless `max_tokens` is 1 or more."""
    if max_tokens < 1:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected max_tokens of at least 1, got {max_tokens}")
