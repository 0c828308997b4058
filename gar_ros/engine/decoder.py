# SPDX-License-Identifier: Apache-2.0
"""The decoder graph on an immutable KV cache: prefill, greedy decoding, likelihoods of given answers."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.model_dir.embeddings import Embeddings
from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows, Runner, nbytes_of

CHUNK = 1024
"""Number of tokens in one run of prefill. It bounds the memory of the attention scores and the time until a
cancellation is noticed."""

SCORED_ROWS = 64
"""Number of an answer's tokens that are scored in one run. It bounds the memory of their logits."""

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class KvCache:
    """Keys and values of the first `length` positions.

    values: arrays (1, kv_heads, length, head_dim) by the graph's input names. They are never modified: what extends
    the cache makes another one.
    """

    length: int
    values: Mapping[str, NDArray[np.float32] | DeviceTensor]  # of the graph's own type once they come from it

    @cached_property
    def nbytes(self) -> int:
        """Size of all arrays in bytes."""
        return sum(map(nbytes_of, self.values.values()))


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
        self, runner: Runner, embeddings: NDArray[np.floating] | Embeddings, sizes: Sizes, end: Collection[int]
    ) -> None:
        """runner: the decoder graph. embeddings: (vocab, H), float32 or float16. end: ids of the tokens that end an
        answer."""
        self._runner = runner
        self._embeddings = embeddings
        self._end = sorted(end)
        self._kv_names = [f"{layer}.{kind}" for layer in range(sizes.layers) for kind in ("key", "value")]
        empty = np.zeros((1, sizes.kv_heads, 0, sizes.head_dim), np.float32)
        self.empty = KvCache(0, {f"past_key_values.{name}": empty for name in self._kv_names})

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Embeddings (S, H) float32 of S tokens; float32 for any table, as the features that they are joined with."""
        return self._embeddings[np.asarray(ids, np.int64)].astype(np.float32)

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
        outputs = self._runner.run(
            {
                "inputs_embeds": embeds[None],
                "position_ids": np.arange(past.length, length, dtype=np.int64)[None],
                "logits_idx": np.asarray(rows, np.int64),
                **past.values,
            }
        )
        values = {f"past_key_values.{name}": outputs[f"present.{name}"] for name in self._kv_names}
        return KvCache(length, values), outputs["logits"].numpy()[0]

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
            log_p += float(log_softmax(logits)[token])
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
        past, logits: as `prefill` returns them. raise_if_cancelled: called before each answer.
        """
        with_end = _any_begins_with_another(answers)
        first = log_softmax(logits)
        scores = []
        for ids in answers:
            read = ids if with_end else ids[:-1]
            raise_if_cancelled()
            score = first[ids[0]]
            if read:
                following = log_softmax(self._following(past, read))
                score += sum(following[index, token] for index, token in enumerate(ids[1:]))
                if with_end:
                    score += np.logaddexp.reduce(following[-1, self._end])
            scores.append(score)
        return np.array(scores, np.float64)

    def _following(self, past: KvCache, ids: Sequence[int]) -> Logits:
        """Logits (len(ids), vocab) of the token that follows each of these tokens, which come after `past`."""
        pieces = []
        for start in range(0, len(ids), SCORED_ROWS):
            piece = ids[start : start + SCORED_ROWS]
            past, logits = self._extend(past, self.embed(piece), range(len(piece)))
            pieces.append(logits)
        return np.concatenate(pieces)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log probabilities, float64, of logits along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def _any_begins_with_another(answers: Sequence[Sequence[int]]) -> bool:
    ordered = sorted(tuple(ids) for ids in answers)
    return any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ordered))
