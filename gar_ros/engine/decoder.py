# SPDX-License-Identifier: Apache-2.0
"""The decoder graph on an immutable KV cache: prefill, greedy decoding, likelihoods of given answers."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.embeddings import Embeddings
from gar_ros.engine.model_dir.manifest import KvForm, Sizes
from gar_ros.engine.runtime.protocol import Rows, Runner
from gar_ros.engine.static_cache import cache_form

CHUNK = 1024
"""Number of tokens in one run of prefill. It bounds the memory of the attention scores and the time until a
cancellation is noticed."""

SCORED_ROWS = 64
"""Number of an answer's tokens that are scored in one run. It bounds the memory of their logits."""

Ids = tuple[int, ...]
Logits = NDArray[np.float32]


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
    ) -> None:
        """runner: the decoder graph. embeddings: (vocab, H), float32 or float16. end: ids of the tokens that end an
        answer. kv_form: of the graph's KV cache. Raises GarError INVALID_REQUEST for one that the runner can't have."""
        self._embeddings = embeddings
        self._end = sorted(end)
        self._form = cache_form(kv_form, sizes, runner)
        self.empty = self._form.empty

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Embeddings (S, H) float32 of S tokens; float32 for any table, as the features that they are joined with."""
        return self._embeddings[np.asarray(ids, np.int64)].astype(np.float32)

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """The first `length` positions of a cache, which may be let go."""
        return self._form.beginning(cache, length)

    def prefill(self, past: KvCache, embeds: Rows, raise_if_cancelled: CancelCheck) -> tuple[KvCache, Logits]:
        """`past` extended by embeddings (S, H), S > 0, and the logits (vocab,) of the token that follows them.

        raise_if_cancelled: called before each run of `CHUNK` tokens.
        """
        cache, logits = past, np.empty((1, 0), np.float32)
        for start in range(0, len(embeds), CHUNK):
            raise_if_cancelled()
            piece = embeds[start : start + CHUNK]
            cache, logits = self._extend(cache, piece, [len(piece) - 1])
        return cache, logits[0]

    def _extend(self, past: KvCache, embeds: Rows, rows: Sequence[int]) -> tuple[KvCache, Logits]:
        """`past` extended by `embeds` (S, H), and logits (len(rows), vocab) of the tokens that follow these rows."""
        length = past.length + len(embeds)
        feeds = {
            "inputs_embeds": embeds[None],
            "position_ids": np.arange(past.length, length, dtype=np.int64)[None],
            "logits_idx": np.asarray(rows, np.int64),
        }
        cache, outputs = self._form.extend(past, feeds, length)
        return cache, outputs["logits"].numpy()[0]

    def generate(
        self, past: KvCache, logits: Logits, max_tokens: int, raise_if_cancelled: CancelCheck
    ) -> Generator[int, None, Generated]:
        """Yields the ids of greedily decoded text token by token, and returns the whole text.

        past, logits: as `prefill` returns them; logits (vocab,) are those of the first token. max_tokens: number of
        tokens after which the text is cut. raise_if_cancelled: called before each token.
        """
        ids: list[int] = []
        log_p = 0.0
        for step in range(1, max_tokens + 1):
            raise_if_cancelled()
            token = int(logits.argmax())
            log_p += float(log_p_of(logits, token))
            if token in self._end:
                return Generated(tuple(ids), True, log_p / step)
            ids.append(token)
            yield token
            if step < max_tokens:
                past, (logits,) = self._extend(past, self.embed([token]), [0])
        return Generated(tuple(ids), False, log_p / max_tokens)

    def log_likelihoods(
        self, past: KvCache, logits: Logits, answers: Sequence[Sequence[int]], raise_if_cancelled: CancelCheck
    ) -> NDArray[np.float64]:
        """Log probability (len(answers),) of each answer, given as token ids.

        The end token counts when one answer begins with another one, since the shorter would include the longer else.
        Otherwise it doesn't count, and answers of a single token cost no further run.
        past, logits: as `prefill` returns them. raise_if_cancelled: called before each run.
        """
        with_end = _any_begins_with_another(answers)
        ordered = [tuple(ids) for ids in answers]
        wanted: dict[Ids, set[int]] = {}  # beginning of an answer -> tokens that may follow it
        for ids in ordered:
            for count, token in enumerate(ids):
                wanted.setdefault(ids[:count], set()).add(token)
            if with_end:
                wanted.setdefault(ids, set()).update(self._end)
        log_p: dict[Ids, float] = {}  # of the last of these tokens after those before it
        for beginning, following in self._following(past, logits, wanted, raise_if_cancelled):
            tokens = sorted(wanted[beginning])
            log_p.update(zip(((*beginning, token) for token in tokens), log_p_of(following, tokens), strict=True))
        scores = [sum(log_p[ids[: count + 1]] for count in range(len(ids))) for ids in ordered]
        if with_end:
            ends = [[log_p[(*ids, end)] for end in self._end] for ids in ordered]
            scores = [score + np.logaddexp.reduce(end) for score, end in zip(scores, ends, strict=True)]
        return np.array(scores, np.float64)

    def _following(
        self, past: KvCache, logits: Logits, beginnings: Collection[Ids], raise_if_cancelled: CancelCheck
    ) -> Iterator[tuple[Ids, Logits]]:
        """Yields each of these beginnings of answers with the logits (vocab,) of what follows it.

        A beginning of a longer one is no work of its own. One after another: a batch takes as long.
        """
        yield (), logits
        for ids in _longest(beginnings):
            raise_if_cancelled()
            for count, following in enumerate(self._after(past, ids), 1):
                yield ids[:count], following

    def _after(self, past: KvCache, ids: Sequence[int]) -> Logits:
        """Logits (len(ids), vocab) of the token that follows each of these tokens, which come after `past`."""
        pieces = []
        for start in range(0, len(ids), SCORED_ROWS):
            piece = ids[start : start + SCORED_ROWS]
            past, logits = self._extend(past, self.embed(piece), range(len(piece)))
            pieces.append(logits)
        return np.concatenate(pieces)


def log_p_of(logits: Logits, tokens: int | Sequence[int]) -> NDArray[np.float64]:
    """Log probabilities, float64, of some tokens by logits (vocab,)."""
    largest = logits.max()
    # Float32 suffices for the exponentials, since their errors are relative; the sum over the vocabulary needs more.
    total = np.exp(logits - largest).sum(dtype=np.float64)
    result: NDArray[np.float64] = logits[tokens].astype(np.float64) - np.float64(largest) - np.log(total)
    return result


def _longest(beginnings: Collection[Ids]) -> list[Ids]:
    """Those that no other one begins with, except for the empty one."""
    return [ids for ids, after in pairwise([*sorted(beginnings), ()]) if ids and after[: len(ids)] != ids]


def _any_begins_with_another(answers: Sequence[Sequence[int]]) -> bool:
    ordered = sorted(tuple(ids) for ids in answers)
    return any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ordered))
