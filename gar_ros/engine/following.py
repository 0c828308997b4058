# SPDX-License-Identifier: Apache-2.0
"""What follows a token, as the decoder graph tells it: by the logits of the vocabulary, or by the likeliest token with
what was asked about others. See `Manifest.tail`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import Tail
from gar_ros.engine.runtime.protocol import AsyncRunner, DeviceTensor, Runner, numbers_for

Logits = NDArray[np.float32]
Embed = Callable[[Sequence[int]], NDArray[np.float32]]
Likeliest = tuple[int, float]
"""The likeliest token, of several the one with the lowest id, and its log probability."""


class Following(Protocol):
    """What follows one token of a run."""

    def look(self) -> Callable[[], Likeliest]:
        """Begins to bring the likeliest token to the host; the returned function waits for it."""

    def embedding(self) -> NDArray[np.float32] | DeviceTensor:
        """Embedding (1, 1, H) of the likeliest token, where the decoder graph wants it."""

    def log_p(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Log probabilities of tokens that the run was asked to score. Raises ValueError for others."""

    def logits(self) -> Logits:
        """Of the vocabulary (V,). Raises ValueError unless the run was asked to score all tokens in their order."""


class TailForm(Protocol):
    """How one decoder graph tells what follows."""

    runs_ahead: bool
    """Whether a token's run can be asked for, at no cost, before it is known which token that is."""

    def feeds(self, scored: Sequence[int]) -> Mapping[str, NDArray[np.int64] | DeviceTensor]:
        """Inputs of a run. scored: the tokens whose log probabilities will be asked for."""

    def following(self, outputs: Mapping[str, DeviceTensor], rows: int, scored: Sequence[int]) -> list[Following]:
        """What follows each of the rows that the run has kept."""


class OfLogits:
    """What follows by logits (V,) on the host."""

    def __init__(self, logits: Logits, embed: Embed) -> None:
        """embed: gives the embeddings of tokens."""
        self._logits = logits
        self._embed = embed

    def look(self) -> Callable[[], Likeliest]:
        """See Following."""
        return self._likeliest

    def _likeliest(self) -> Likeliest:
        token = int(self._logits.argmax())
        return token, float(log_p_of(self._logits, token))

    def embedding(self) -> NDArray[np.float32]:
        """See Following."""
        return self._embed([int(self._logits.argmax())])[None]

    def log_p(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """See Following. Any tokens may be asked for."""
        return log_p_of(self._logits, tokens)

    def logits(self) -> Logits:
        """See Following. They are there whatever the run was asked to score."""
        return self._logits


class LogitsForm:
    """The graph returns `logits` (1, n, V), which the host reads."""

    runs_ahead = False

    def __init__(self, embed: Embed) -> None:
        """embed: gives the embeddings of tokens."""
        self._embed = embed

    def feeds(self, scored: Sequence[int]) -> Mapping[str, NDArray[np.int64] | DeviceTensor]:
        """See TailForm."""
        return {}

    def following(self, outputs: Mapping[str, DeviceTensor], rows: int, scored: Sequence[int]) -> list[Following]:
        """See TailForm."""
        return [OfLogits(row, self._embed) for row in outputs["logits"].numpy()[0]]


class _Scored:
    """The outputs of one run, brought to the host when they are asked for."""

    def __init__(self, outputs: Mapping[str, DeviceTensor], tokens: Sequence[int]) -> None:
        self.outputs = outputs
        self.tokens = tokens

    @cached_property
    def log_sums(self) -> NDArray[np.float32]:
        """(n,)"""
        values: NDArray[np.float32] = self.outputs["log_sums"].numpy()[0]
        return values

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """(n, len(tokens))"""
        values: NDArray[np.float32] = self.outputs["scored_logits"].numpy()[0]
        return values


class OfTokens:
    """What follows one row of a run that told the likeliest tokens. Nothing comes to the host that nobody asks for."""

    def __init__(self, run: _Scored, row: int, form: TokensForm) -> None:
        self._run = run
        self._row = row
        self._form = form

    def look(self) -> Callable[[], Likeliest]:
        """See Following."""
        fetched = [self._form.fetch(self._run.outputs[name]) for name in ("next_ids", "next_log_p")]

        def likeliest() -> Likeliest:
            token, log_p = (values()[0, self._row] for values in fetched)
            return int(token), float(log_p)

        return likeliest

    def embedding(self) -> DeviceTensor:
        """See Following. Of runs that kept one row."""
        return self._run.outputs["next_embeds"]

    def log_p(self, tokens: Sequence[int]) -> NDArray[np.float64]:
        """See Following."""
        columns = [self._run.tokens.index(token) for token in tokens]
        logits = self._run.logits[self._row, columns].astype(np.float64)
        result: NDArray[np.float64] = logits - np.float64(self._run.log_sums[self._row])
        return result

    def logits(self) -> Logits:
        """See Following."""
        if self._run.tokens != range(self._form.vocab):
            raise ValueError(f"expected a run that scored {self._form.vocab} tokens, got {len(self._run.tokens)}")
        return self._run.logits[self._row]


class TokensForm:
    """The graph looks for the likeliest token itself, and returns the embedding that the next run takes."""

    def __init__(self, runner: Runner, vocab: int) -> None:
        """vocab: number of tokens."""
        self.vocab = vocab
        self._numbers = numbers_for(runner)
        self.runs_ahead = isinstance(runner, AsyncRunner)
        self.fetch = runner.fetch if isinstance(runner, AsyncRunner) else _in_time

    def feeds(self, scored: Sequence[int]) -> Mapping[str, NDArray[np.int64] | DeviceTensor]:
        """See TailForm."""
        if isinstance(scored, range):
            return {"scored_ids": self._numbers(scored.start, scored.stop)}
        # The graph wants at least one token.
        return {"scored_ids": np.asarray(scored, np.int64) if scored else self._numbers(0, 1)}

    def following(self, outputs: Mapping[str, DeviceTensor], rows: int, scored: Sequence[int]) -> list[Following]:
        """See TailForm."""
        run = _Scored(outputs, scored)
        return [OfTokens(run, row, self) for row in range(rows)]


def _in_time(tensor: DeviceTensor) -> Callable[[], NDArray[Any]]:
    """For runners that have run the graph when they return."""
    return tensor.numpy


def tail_form(tail: Tail, runner: Runner, vocab: int, embed: Embed) -> TailForm:
    """The form that a manifest names, for the decoder graph that `runner` runs. See the classes for the arguments."""
    return TokensForm(runner, vocab) if tail == "tokens" else LogitsForm(embed)


def log_p_of(logits: Logits, tokens: int | Sequence[int]) -> NDArray[np.float64]:
    """Log probabilities, float64, of some tokens by logits (V,)."""
    largest = logits.max()
    # Float32 suffices for the exponentials, since their errors are relative; the sum over the vocabulary needs more.
    total = np.exp(logits - largest).sum(dtype=np.float64)
    result: NDArray[np.float64] = logits[tokens].astype(np.float64) - np.float64(largest) - np.log(total)
    return result
