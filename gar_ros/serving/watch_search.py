# SPDX-License-Identifier: Apache-2.0
"""Finds a watch's regions by words, one question at a time, so that others get their turns between. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.frame import Frame, askable
from gar_ros.memory.passing_frames import PassingFrames
from gar_ros.region import Region
from gar_ros.serving.phrase import Phrase, Score
from gar_ros.serving.requests import Request, limits_of
from gar_ros.serving.watch import Search
from gar_ros.settings import Settings


class WatchSearch:
    """Makes the searches of watches. Call it from any thread, what it returns in the model's."""

    def __init__(self, engine: GarEngine, passing: PassingFrames, settings: Callable[[], Settings]) -> None:
        """passing: encodes the images. settings: returns the current parameters."""
        self._engine, self._passing, self._settings = engine, passing, settings

    def __call__(self, words: str) -> Search:
        """The search for some words. Raises GarError as `Phrase.parse` does."""
        return partial(self._search, Phrase.parse(self._engine, words))

    def _search(
        self, phrase: Phrase, frame: Frame, taken: Collection[str], raise_if_cancelled: CancelCheck
    ) -> Generator[None, None, str | None]:
        """Yields between two questions; the most probable region, if it has `find.threshold`."""
        settings, regions = self._settings(), askable(frame)
        candidates = [region for region in regions if region.id not in taken]
        if not candidates:
            return None
        limits = limits_of(Request(), settings, self._engine.manifest.tiles.max_tiles)

        def encode(some: Sequence[Region]) -> EncodedFrame:
            return self._passing.some(frame, some, limits.max_tiles, raise_if_cancelled)

        if phrase.names_two(encode(candidates[:1]), raise_if_cancelled):
            ids = {region.id for region in candidates}
            scores = phrase.score_pairs(encode, ids, regions, raise_if_cancelled)
        else:
            scores = phrase.score_alone(encode, candidates, raise_if_cancelled)
        best: Score | None = None
        for score in scores:
            best = score if best is None or score.probability > best.probability else best
            yield
        return best.region_id if best is not None and best.probability >= settings.find.threshold else None
