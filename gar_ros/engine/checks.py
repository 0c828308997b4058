"""What is refused before it costs a vision pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region, check_regions


def check_image(image: NDArray[np.uint8], regions: Sequence[Region], max_regions: int) -> None:
    """Refuses what is no RGB image (H, W, 3) uint8, no region, too many, and masks of another size than the image."""
    is_rgb = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not is_rgb or image.dtype != np.uint8:
        came = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected an RGB image (H, W, 3) uint8, got {came}")
    if not regions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one region, got none")
    check_regions(tuple(regions), (image.shape[1], image.shape[0]), max_regions)


def check_max_tiles(max_tiles: int | None, limit: int) -> None:
    """Refuses tiles that the model does not have; None is its own limit."""
    if max_tiles is not None and not 1 <= max_tiles <= limit:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected max_tiles in 1..{limit} (the model's), got {max_tiles}")


def check_context(tiles: int, regions: int, sizes: Sizes) -> None:
    """Refuses a frame that leaves no room for a question."""
    taken = (tiles + regions) * sizes.tile_tokens
    if taken >= sizes.max_positions:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG,
            f"{tiles} tiles and {regions} region(s) take {taken} tokens of the model's {sizes.max_positions}: "
            "use fewer tiles",
        )


def check_room(asked: int, prefix: int, answer: int, sizes: Sizes) -> None:
    """Refuses a question that does not fit beside the tokens of image and regions and those of the answer."""
    room = sizes.max_positions - prefix - answer
    if asked > room:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG,
            f"expected a question of at most {max(room, 0)} tokens, got {asked}: of the model's {sizes.max_positions}, "
            f"image and regions take {prefix} and the answer up to {answer}",
        )


def check_frames(frames: int, limit: int) -> None:
    """Refuses a video without frames, or with more than there are crop tokens."""
    if not 1 <= frames <= limit:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected 1 to {limit} frames (the model has {limit} crop tokens), got {frames}"
        )


def check_max_tokens(max_tokens: int) -> None:
    """Refuses an answer without a token."""
    if max_tokens < 1:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected max_tokens of at least 1, got {max_tokens}")
