"""An encoded image with its regions, ready to be asked, and the answers it gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck, never_cancelled
from gar_ros.engine.checks import check_max_tokens, check_room, check_single
from gar_ros.engine.decoder import KvCache, Logits
from gar_ros.engine.prompt import CAPTION_PROMPT, Form
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.engine import GarEngine

Timings = dict[str, float]
"""Stage -> wall clock seconds: tile, vision, replay (of the frame's encoding, the same in each of its answers), prefill
(0 when the prefix was there already), question, decode."""


@dataclass(frozen=True)
class Answer:
    """What the model says to one question."""

    text: str  # of a closed question: the choice as given
    token_ids: tuple[int, ...]  # without the end token
    choice: int  # index into the choices, -1 for an open question
    probabilities: tuple[float, ...]  # one for each choice, sum 1; empty for an open question
    confidence: float  # 0..1: of the choice, or the geometric mean of the probabilities of the text's and end token
    complete: bool  # False when the text was cut at max_tokens
    prompt_tokens: int
    generated_tokens: int  # 0 for a closed question
    seconds: Timings


Told = Callable[[str, int], None]
"""Hears the text so far and its number of tokens, after each token."""


@contextmanager
def stage(seconds: Timings, name: str) -> Iterator[None]:
    """Writes down how long its body takes."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


@dataclass(frozen=True, eq=False)
class Conversation:
    """A conversation so far: the KV cache up to the last question, and the ids of its answer."""

    cache: KvCache
    answer: tuple[int, ...]


class EncodedFrame:
    """An image with its regions, or one region through a video, ready to be asked. Made by `GarEngine`.

    Owns features, replay tokens and the KV caches of its prefixes; asking never changes them, so questions can be
    repeated, reordered and cancelled.
    """

    def __init__(
        self,
        engine: GarEngine,
        regions: tuple[Region, ...],
        features: Rows,
        replay: Rows,
        seconds: Timings,
        video: bool = False,
    ) -> None:
        """features: (T, g * g, H) of the thumbnail and tiles. replay: (R, g * g, H). video: a region for each frame."""
        self.regions = regions
        self._prompts = 1 if video else len(regions)
        self._question_form: Form = "video" if video else "question"
        self._caption_form: Form = "video" if video else "caption"
        self._engine = engine
        self._features = features
        self._replay = replay
        self._seconds = seconds
        self._prefixes: dict[Form, KvCache] = {}

    def ask(
        self,
        question: str,
        choices: Sequence[str] = (),
        max_tokens: int = 64,
        raise_if_cancelled: CancelCheck = never_cancelled,
        told: Told | None = None,
    ) -> Answer:
        """Answers a question about <Prompt0>.. in free text, or, with choices, by the likelihood of each.

        max_tokens limits free text, which `told` hears while it is written. Raises GarError INVALID_REQUEST,
        PROMPT_WITHOUT_REGION, QUESTION_TOO_LONG, or what `raise_if_cancelled` raises.
        """
        return self.converse(question, None, choices, max_tokens, raise_if_cancelled, told)[0]

    def converse(
        self,
        question: str,
        turns: Conversation | None,
        choices: Sequence[str] = (),
        max_tokens: int = 64,
        raise_if_cancelled: CancelCheck = never_cancelled,
        told: Told | None = None,
    ) -> tuple[Answer, Conversation]:
        """As `ask`, after the earlier `turns` of a conversation, which stay in the KV cache; None: the first question.

        Also the turns with this one: what goes on after it pays for its own tokens alone.
        """
        prompts = self._engine.prompts
        if turns is None:
            asked = prompts.question(question, self._prompts, self._question_form)
        else:
            asked = [*turns.answer, *prompts.next_turn(question, self._prompts)]
        if choices:
            answer, cache = self._choose(asked, choices, raise_if_cancelled, turns)
        else:
            answer, cache = self._write(self._question_form, asked, max_tokens, raise_if_cancelled, told, turns)
        return answer, Conversation(cache, answer.token_ids)

    def describe(self, max_tokens: int = 128, raise_if_cancelled: CancelCheck = never_cancelled) -> Answer:
        """Describes the frame's single region with the released caption prompt. Raises as `ask` does."""
        check_single(self._prompts)
        asked = self._engine.prompts.caption_request()
        return self._write(self._caption_form, asked, max_tokens, raise_if_cancelled)[0]

    def _write(
        self,
        form: Form,
        asked: list[int],
        max_tokens: int,
        raise_if_cancelled: CancelCheck,
        told: Told | None = None,
        turns: Conversation | None = None,
    ) -> tuple[Answer, KvCache]:
        check_max_tokens(max_tokens)
        decoder, seconds = self._engine.decoder, dict(self._seconds)
        cache, logits = self._read(form, asked, max_tokens, seconds, raise_if_cancelled, turns)
        with stage(seconds, "decode"):
            hear = None if told is None else partial(self._tell, told)
            generated = decoder.generate(cache, logits, max_tokens, raise_if_cancelled, hear)
        answer = Answer(
            text=self._engine.prompts.decode(generated.ids),
            token_ids=generated.ids,
            choice=-1,
            probabilities=(),
            confidence=float(np.exp(generated.mean_log_p)),
            complete=generated.complete,
            prompt_tokens=len(asked) if turns else cache.length,
            generated_tokens=len(generated.ids),
            seconds=seconds,
        )
        return answer, cache

    def _tell(self, told: Told, ids: Sequence[int]) -> None:
        told(self._engine.prompts.decode(ids), len(ids))

    def _choose(
        self, asked: list[int], choices: Sequence[str], raise_if_cancelled: CancelCheck, turns: Conversation | None
    ) -> tuple[Answer, KvCache]:
        decoder, seconds = self._engine.decoder, dict(self._seconds)
        ids = self._engine.prompts.choices(choices, self._prompts)
        cache, logits = self._read(self._question_form, asked, max(map(len, ids)), seconds, raise_if_cancelled, turns)
        with stage(seconds, "decode"):
            scores = decoder.log_likelihoods(cache, logits, ids, raise_if_cancelled)
        weights = np.exp(scores - scores.max())
        probabilities = weights / weights.sum()
        choice = int(probabilities.argmax())
        answer = Answer(
            text=choices[choice],
            token_ids=tuple(ids[choice]),
            choice=choice,
            probabilities=tuple(probabilities.tolist()),
            confidence=float(probabilities[choice]),
            complete=True,
            prompt_tokens=len(asked) if turns else cache.length,
            generated_tokens=0,
            seconds=seconds,
        )
        return answer, cache

    def _read(
        self,
        form: Form,
        asked: list[int],
        answer_tokens: int,
        seconds: Timings,
        raise_if_cancelled: CancelCheck,
        turns: Conversation | None,
    ) -> tuple[KvCache, Logits]:
        """The KV cache up to the question and the logits of the answer's first token, if all of it fits."""
        engine = self._engine
        if turns is not None:
            check_room(len(asked), turns.cache.length, answer_tokens, engine.manifest.sizes)
            with stage(seconds, "question"):
                return engine.decoder.prefill(turns.cache, engine.decoder.embed(asked), raise_if_cancelled)
        ids = engine.prompts.prefix(form, len(self._features), len(self.regions))
        check_room(len(asked), len(ids), answer_tokens, engine.manifest.sizes)
        with stage(seconds, "prefill"):
            if form not in self._prefixes:
                self._prefixes[form], _ = engine.decoder.prefill(
                    engine.decoder.empty, self._embed(form, ids), raise_if_cancelled
                )
        with stage(seconds, "question"):
            return engine.decoder.prefill(self._prefixes[form], engine.decoder.embed(asked), raise_if_cancelled)

    def _embed(self, form: Form, ids: list[int]) -> Rows:
        """Embeddings (L, H) of a prefix, with the features in the places of image and crop tokens."""
        tokens = self._engine.manifest.tokens
        first = CAPTION_PROMPT if form == "caption" else 0
        features = {crop: [rows] for crop, rows in zip(tokens.crops[first:], self._replay, strict=False)}
        features[tokens.image] = list(self._features)
        parts: list[NDArray[np.float32] | DeviceTensor] = []
        for token, run in groupby(ids, key=lambda id: id if id in features else None):
            parts += [self._engine.decoder.embed(list(run))] if token is None else features[token]
        return self._engine.join(parts)
