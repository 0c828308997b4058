# SPDX-License-Identifier: Apache-2.0
"""The decoder graph on an immutable KV cache: prefill, greedy decoding, likelihoods of given answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.following import Following, Likeliest, Logits, tail_form
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.embeddings import Embeddings
from gar_ros.engine.model_dir.manifest import KvForm, Sizes, Tail
from gar_ros.engine.run_ahead import RunAhead
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows, Runner, numbers_for
from gar_ros.engine.static_cache import cache_form

CHUNK = 1024
"""Number of tokens in one run of prefill. It bounds the memory of the attention scores and the time until a
cancellation is noticed."""

SCORED_ROWS = 64
"""Number of an answer's tokens that are scored in one run. It bounds the memory of their logits."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Generated:
    """Greedily decoded text.

    ids: its tokens without the end token. complete: whether the end token came. mean_log_p: mean log probability of
    its tokens, the end token included.
    """

    ids: tuple[int, ...]
    complete: bool
    mean_log_p: float


class Decoder:
    """The decoder graph of one model with its table of token embeddings."""

    def __init__(
        self,
        runner: Runner,
        embeddings: NDArray[np.floating] | Embeddings,
        sizes: Sizes,
        end: Collection[int],
        kv_form: KvForm = "joined",
        tail: Tail = "logits",
    ) -> None:
        """runner: the decoder graph. embeddings: (vocab, H), float32 or float16. end: ids of the tokens that end an
        answer. kv_form, tail: of the graph. Raises GarError INVALID_REQUEST for a KV cache that the runner can't have.
        """
        self._embeddings = embeddings
        self._end = sorted(end)
        self.vocabulary = range(sizes.vocab)
        """All tokens: scored, when logits are to be looked at."""
        self._numbers = numbers_for(runner)
        self._form = cache_form(kv_form, sizes, runner)
        self._tail = tail_form(tail, runner, sizes.vocab, self.embed)
        self.empty = self._form.empty

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Embeddings (S, H) float32 of S tokens; float32 for any table, as the features that they are joined with."""
        return self._embeddings[np.asarray(ids, np.int64)].astype(np.float32)

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """The first `length` positions of a cache, which may be let go."""
        return self._form.beginning(cache, length)

    def prefill(
        self, past: KvCache, embeds: Rows, raise_if_cancelled: CancelCheck, scored: Sequence[int] = ()
    ) -> tuple[KvCache, Following]:
        """`past` extended by embeddings (S, H), S > 0, and what follows them.

        raise_if_cancelled: called before each run of `CHUNK` tokens. scored: the tokens whose log probabilities will be
        asked for, such as `first_tokens`.
        """
        last = (len(embeds) - 1) // CHUNK * CHUNK
        cache = past
        for start in range(0, last, CHUNK):
            raise_if_cancelled()
            cache, _ = self._extend(cache, embeds[start : start + CHUNK][None], slice(CHUNK - 1, CHUNK))
        raise_if_cancelled()
        count = len(embeds) - last
        cache, (following,) = self._extend(cache, embeds[last:][None], slice(count - 1, count), scored)
        return cache, following

    def prefill_logits(self, past: KvCache, embeds: Rows, raise_if_cancelled: CancelCheck) -> tuple[KvCache, Logits]:
        """As `prefill`, with the logits (vocab,) of what follows: for measurements, since answers need few of them."""
        cache, following = self.prefill(past, embeds, raise_if_cancelled, self.vocabulary)
        return cache, following.logits()

    def _extend(
        self, past: KvCache, embeds: NDArray[Any] | DeviceTensor, kept: slice, scored: Sequence[int] = ()
    ) -> tuple[KvCache, list[Following]]:
        """`past` extended by `embeds` (1, S, H), and what follows each of the rows `kept`, a slice without step.

        The last of them is the last row.
        """
        length = past.length + kept.stop
        feeds = {
            "inputs_embeds": embeds,
            "position_ids": self._numbers(past.length, length)[None],
            "logits_idx": self._numbers(kept.start, kept.stop),
            **self._tail.feeds(scored),
        }
        cache, outputs = self._form.extend(past, feeds, length)
        return cache, self._tail.following(outputs, kept.stop - kept.start, scored)

    def generate(
        self, past: KvCache, following: Following, max_tokens: int, raise_if_cancelled: CancelCheck
    ) -> Generator[int, None, Generated]:
        """Yields the ids of greedily decoded text token by token, and returns the whole text.

        past, following: as `prefill` returns them. max_tokens: number of tokens after which the text is cut.
        raise_if_cancelled: called before each token.

        A device is asked for the next tokens while the host looks at one; what it computes after the end is dropped.
        """
        ids: list[int] = []
        log_p = 0.0
        ahead = RunAhead(self._tail.runs_ahead)
        looks: deque[Callable[[], Likeliest]] = deque([following.look()])
        for step in range(1, max_tokens + 1):
            raise_if_cancelled()
            while len(looks) <= ahead.count and len(ids) + len(looks) < max_tokens:
                past, (following,) = self._extend(past, following.embedding(), slice(0, 1))
                looks.append(following.look())
            token, log_p_of_token = looks.popleft()()
            ahead.arrived()
            log_p += log_p_of_token
            if token in self._end:
                return Generated(tuple(ids), True, log_p / step)
            ids.append(token)
            yield token
        return Generated(tuple(ids), False, log_p / max_tokens)

    def first_tokens(self, answers: Sequence[Sequence[int]]) -> list[int]:
        """The tokens that `prefill` must score for `log_likelihoods` of these answers."""
        return sorted(self._wanted(answers)[()])

    def log_likelihoods(
        self, past: KvCache, following: Following, answers: Sequence[Sequence[int]], raise_if_cancelled: CancelCheck
    ) -> NDArray[np.float64]:
        """Log probability (len(answers),) of each answer, given as token ids.

        The end token counts when one answer begins with another one, since the shorter would include the longer else.
        Otherwise it doesn't count, and answers of a single token cost no further run.
        past, following: as `prefill` returns them with `first_tokens` scored. raise_if_cancelled: called before each
        run.
        """
        ordered = [tuple(ids) for ids in answers]
        wanted = self._wanted(answers)
        log_p: dict[Ids, float] = {}  # of the last of these tokens after those before it
        for beginning, after in self._following(past, following, wanted, raise_if_cancelled):
            tokens = sorted(wanted[beginning])
            log_p.update(zip(((*beginning, token) for token in tokens), after.log_p(tokens), strict=True))
        scores = [sum(log_p[ids[: count + 1]] for count in range(len(ids))) for ids in ordered]
        if _any_begins_with_another(answers):
            ends = [[log_p[(*ids, end)] for end in self._end] for ids in ordered]
            scores = [score + np.logaddexp.reduce(end) for score, end in zip(scores, ends, strict=True)]
        return np.array(scores, np.float64)

    def _wanted(self, answers: Sequence[Sequence[int]]) -> dict[Ids, set[int]]:
        """Beginning of an answer -> tokens that may follow it."""
        with_end = _any_begins_with_another(answers)
        wanted: dict[Ids, set[int]] = {(): set()}
        for ids in map(tuple, answers):
            for count, token in enumerate(ids):
                wanted.setdefault(ids[:count], set()).add(token)
            if with_end:
                wanted.setdefault(ids, set()).update(self._end)
        return wanted

    def _following(
        self, past: KvCache, following: Following, wanted: dict[Ids, set[int]], raise_if_cancelled: CancelCheck
    ) -> Iterator[tuple[Ids, Following]]:
        """Yields each of these beginnings of answers with what follows it.

        A beginning of a longer one is no work of its own. One after another: a batch takes as long.
        """
        yield (), following
        for ids in _longest(wanted):
            raise_if_cancelled()
            scored = sorted({token for count in range(1, len(ids) + 1) for token in wanted[ids[:count]]})
            for count, after in enumerate(self._after(past, ids, scored), 1):
                yield ids[:count], after

    def _after(self, past: KvCache, ids: Sequence[int], scored: Sequence[int]) -> Iterator[Following]:
        """What follows each of these tokens, which come after `past`."""
        for start in range(0, len(ids), SCORED_ROWS):
            piece = ids[start : start + SCORED_ROWS]
            past, rows = self._extend(past, self.embed(piece)[None], slice(0, len(piece)), scored)
            yield from rows


def _longest(beginnings: Collection[Ids]) -> list[Ids]:
    """Those that no other one begins with, except for the empty one."""
    return [ids for ids, after in pairwise([*sorted(beginnings), ()]) if ids and after[: len(ids)] != ids]


def _any_begins_with_another(answers: Sequence[Sequence[int]]) -> bool:
    ordered = sorted(tuple(ids) for ids in answers)
    return any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ordered))
