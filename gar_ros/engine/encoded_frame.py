# SPDX-License-Identifier: Apache-2.0
"""An encoded image with its regions, which answers questions, and what an answer holds."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck, never_cancelled
from gar_ros.engine.checks import check_max_tokens, check_room, failures_are_typed
from gar_ros.engine.following import Following
from gar_ros.engine.kv_cache import KvCache, bytes_of
from gar_ros.engine.language import Language
from gar_ros.engine.prompt import CAPTION_PROMPT, Form, Question
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows, nbytes_of
from gar_ros.engine.steps import Steps, run_to_end
from gar_ros.region import Region

Timings = dict[str, float]
"""Wall clock seconds by stage. The stages tile, vision and replay belong to the encoding, so they are the same in each
answer about a frame. prefill is about 0 when the prefix's KV cache was there, question is the prefill of the question's
tokens, decode generates the answer."""


@dataclass(frozen=True)
class Answer:
    """The model's answer to one question."""

    text: str  # for a closed question the choice, as it was given
    token_ids: tuple[int, ...]  # without the end token
    choice: int = -1  # index into the choices, -1 for an open question
    probabilities: tuple[float, ...] = ()  # one for each choice, sum 1; empty for an open question
    confidence: float = 1.0  # the choice's probability, or the geometric mean of those of the tokens with the end token
    complete: bool = True  # False when the text was cut at max_tokens
    prompt_tokens: int = 0
    generated_tokens: int = 0  # 0 for a closed question
    seconds: Timings = field(default_factory=dict)


@contextmanager
def stage(seconds: Timings, name: str) -> Iterator[None]:
    """Writes the seconds that its body takes to `seconds[name]`."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


@dataclass(frozen=True, eq=False)
class Conversation:
    """A conversation so far. answer: the last one. cache: the KV cache up to and including the last question."""

    answer: Answer
    cache: KvCache


class SharedPrefix:
    """What frames with the same features have in common: the prefix up to the last image token.

    Its KV cache is computed with the first prefix that is asked about.
    """

    def __init__(self) -> None:
        self.cache: KvCache | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.cache.nbytes if self.cache else 0


class EncodedFrame:
    """An encoded image with its regions, or one region through the images of a video. Made by `GarEngine`.

    It owns features, replay tokens and the KV caches of its prefixes. A question never changes them, so questions can
    be repeated, reordered and cancelled. Like its engine, it must not be used by two threads at a time.
    """

    def __init__(
        self,
        language: Language,
        regions: tuple[Region, ...],
        features: Rows,
        replay: Rows,
        seconds: Timings,
        video: bool = False,
        shared: SharedPrefix | None = None,
    ) -> None:
        """regions: <PromptN> is regions[N]; for a video, the one region in each image. features: (T, g * g, H) of the
        thumbnail and tiles. replay: replay tokens (R, g * g, H) of the R regions. seconds: of the encoding. video:
        whether the regions are one object in the images of a video. shared: of all frames with these features; None
        where there is no other."""
        self.regions = regions
        self._prompts = 1 if video else len(regions)
        self._video = video
        self._language = language
        self._features = features
        self._replay = replay
        self._seconds = seconds
        self._shared = shared
        self._prefixes: dict[Form, KvCache] = {}

    @property
    def features(self) -> Rows:
        """Features (T, g * g, H), which other frames of the same image may share."""
        return self._features

    @property
    def nbytes(self) -> int:
        """Size in bytes of features, replay tokens and the KV caches of the prefixes that were asked about."""
        shared = [self._shared.cache] if self._shared and self._shared.cache else []
        caches = bytes_of([*shared, *self._prefixes.values()])
        return nbytes_of(self._features) + nbytes_of(self._replay) + caches

    @property
    def image_nbytes(self) -> int:
        """Size in bytes of what other frames of the same image may share: the features and their KV cache."""
        return nbytes_of(self._features) + (self._shared.nbytes if self._shared else 0)

    def without_image(self) -> EncodedFrame:
        """What continues a conversation that this frame has begun: that needs nothing but the conversation's KV cache.

        It can answer nothing else.
        """
        bare = copy(self)
        bare.regions, bare._prefixes, bare._shared = (), {}, None
        bare._features = bare._replay = np.empty((0, 0, 0), np.float32)
        return bare

    def ask(
        self,
        question: str | Question,
        choices: Sequence[str] = (),
        max_tokens: int = 64,
        raise_if_cancelled: CancelCheck = never_cancelled,
    ) -> Answer:
        """The answer to a question about <Prompt0>..: free text, or with choices the likeliest of them.

        question: a text, or a question that was parsed for as many regions as the frame has. choices: go with a text;
        empty for an open question. max_tokens: number of tokens after which free text is cut. raise_if_cancelled:
        called between steps.
        Raises GarError INVALID_REQUEST, PROMPT_WITHOUT_REGION, QUESTION_TOO_LONG, or what `raise_if_cancelled` raises.
        """
        if isinstance(question, str):
            question = self._language.prompts.parse(question, choices, self._prompts, self._form("question"))
        return run_to_end(self.stream(question, max_tokens, raise_if_cancelled)).answer

    def describe(self, max_tokens: int = 128, raise_if_cancelled: CancelCheck = never_cancelled) -> Answer:
        """A description of the frame's only region, asked with the released caption prompt.

        Raises GarError as `ask` does, INVALID_REQUEST unless the frame has one region.
        """
        question = self._language.prompts.parse_caption(self._prompts, self._form("caption"))
        return self.ask(question, max_tokens=max_tokens, raise_if_cancelled=raise_if_cancelled)

    def stream(
        self,
        question: Question,
        max_tokens: int = 64,
        raise_if_cancelled: CancelCheck = never_cancelled,
        after: Conversation | None = None,
    ) -> Generator[str, None, Conversation]:
        """Yields what each token adds to a free text (nothing for a closed question); returns the conversation.

        The returned conversation ends with the answer. after: the conversation that a question of
        `PromptBuilder.parse_turn` continues; its KV cache is reused, so only the new tokens are computed.
        Raises GarError as `ask` does, ValueError for a question that was parsed for another number of regions.
        """
        if question.count != self._prompts:
            raise ValueError(f"expected a question about {self._prompts} region(s), got one about {question.count}")
        check_max_tokens(max_tokens)
        with failures_are_typed():
            return (yield from self._stream(question, max_tokens, raise_if_cancelled, after))

    def _stream(
        self, question: Question, max_tokens: int, raise_if_cancelled: CancelCheck, after: Conversation | None
    ) -> Generator[str, None, Conversation]:
        seconds = dict(self._seconds)
        max_answer = max(map(len, question.choice_ids), default=max_tokens)
        ids = question.ids if after is None else (*after.answer.token_ids, *question.ids)
        past = self._past(question.form, len(ids), max_answer, seconds, raise_if_cancelled, after)
        with stage(seconds, "question"):
            decoder = self._language.decoder
            first = decoder.first_tokens(question.choice_ids)
            cache, following = decoder.prefill(past, decoder.embed(ids), raise_if_cancelled, first)
        prompt_tokens = cache.length if after is None else len(ids)
        with stage(seconds, "decode"):
            if question.choices:
                answer = self._choose(question, cache, following, raise_if_cancelled)
            else:
                answer = yield from self._write(cache, following, max_tokens, raise_if_cancelled)
        return Conversation(replace(answer, prompt_tokens=prompt_tokens, seconds=seconds), cache)

    def _form(self, form: Form) -> Form:
        return "video" if self._video else form

    def _write(
        self, cache: KvCache, following: Following, max_tokens: int, raise_if_cancelled: CancelCheck
    ) -> Generator[str, None, Answer]:
        """Yields the pieces of a free text and returns the answer."""
        text = self._language.prompts.text_stream()
        pieces: list[str] = []
        tokens = Steps(self._language.decoder.generate(cache, following, max_tokens, raise_if_cancelled))
        for token in tokens:
            pieces.append(text.add(token))
            yield pieces[-1]
        pieces.append(text.end())
        generated = tokens.result
        return Answer(
            text="".join(pieces),
            token_ids=generated.ids,
            confidence=float(np.exp(generated.mean_log_p)),
            complete=generated.complete,
            generated_tokens=len(generated.ids),
        )

    def _choose(
        self, question: Question, cache: KvCache, following: Following, raise_if_cancelled: CancelCheck
    ) -> Answer:
        """The likeliest choice of a closed question."""
        scores = self._language.decoder.log_likelihoods(cache, following, question.choice_ids, raise_if_cancelled)
        weights = np.exp(scores - scores.max())
        probabilities = weights / weights.sum()
        choice = int(probabilities.argmax())
        return Answer(
            text=question.choices[choice],
            token_ids=question.choice_ids[choice],
            choice=choice,
            probabilities=tuple(probabilities.tolist()),
            confidence=float(probabilities[choice]),
        )

    def _past(
        self,
        form: Form,
        question_tokens: int,
        max_answer: int,
        seconds: Timings,
        raise_if_cancelled: CancelCheck,
        after: Conversation | None,
    ) -> KvCache:
        """The KV cache that a question comes after: that of the conversation, or that of the prefix, made when missing.

        Raises GarError QUESTION_TOO_LONG when question and answer, in tokens, don't fit into the context behind it.
        """
        language = self._language
        if after is not None:
            check_room(question_tokens, after.cache.length, max_answer, language.sizes)
            return after.cache
        ids = language.prompts.prefix(form, len(self._features), len(self.regions))
        check_room(question_tokens, len(ids), max_answer, language.sizes)
        with stage(seconds, "prefill"):
            if form not in self._prefixes:
                self._prefixes[form] = self._prefix(form, ids, raise_if_cancelled)
        return self._prefixes[form]

    def _prefix(self, form: Form, ids: list[int], raise_if_cancelled: CancelCheck) -> KvCache:
        """The KV cache of a prefix. What it has in common with one that is there is not computed again."""
        decoder, embeds = self._language.decoder, self._embed(form, ids)
        image = len(ids) - ids[::-1].index(self._language.tokens.image)
        past = decoder.empty
        if self._shared:
            if self._shared.cache is None:
                self._shared.cache, _ = decoder.prefill(past, embeds[:image], raise_if_cancelled)
            past = self._shared.cache
        elif self._prefixes:
            past = decoder.beginning(next(iter(self._prefixes.values())), image)
        cache, _ = decoder.prefill(past, embeds[past.length :], raise_if_cancelled)
        return cache

    def _embed(self, form: Form, ids: list[int]) -> Rows:
        """Embeddings (L, H) of a prefix, with features and replay tokens in place of image and crop tokens."""
        tokens = self._language.tokens
        first = CAPTION_PROMPT if form == "caption" else 0
        features = {crop: [rows] for crop, rows in zip(tokens.crops[first:], self._replay, strict=False)}
        features[tokens.image] = list(self._features)
        parts: list[NDArray[np.float32] | DeviceTensor] = []
        for token, run in groupby(ids, key=lambda id: id if id in features else None):
            parts += [self._language.decoder.embed(list(run))] if token is None else features[token]
        return self._language.join(parts)
