# SPDX-License-Identifier: Apache-2.0
"""Words that look like <Prompt1> are refused with the spelling meant; what can be ordinary text is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.engine.prompt_spelling import REFERENCE, check_spelling
from gar_ros.errors import ErrorCode, GarError


def refusal_of(call: Callable[[], object]) -> GarError | None:
    """The error that a call ends with, None when it has a result."""
    try:
        call()
    except GarError as error:
        return error
    return None


PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)

_ONE_WORD = """
<prompt1> <PROMPT1> <Prompt01> <Prompt1 Prompt1> Prompt1 [Prompt1] {Prompt1} (Prompt1) "Prompt1" <prompt_1> <Prompt-1>
</Prompt1> <Prompt1/> <|prompt1|> <<prompt1>> \\<Prompt1\\> <Prompt:1> <Prompt#1> <Prompt[1]> Prompt[1] <Prompts1>
&lt;Prompt1&gt; &LT;Prompt1&GT; &amp;lt;Prompt1&amp;gt; &#60;Prompt1&#62; &#x3C;Prompt1&#x3E; &lt;Prompt1 <Prompt1&gt;
%3CPrompt1%3E \\u003cPrompt1\\u003e \\x3cPrompt1\\x3e
＜Prompt1＞ ⟨Prompt1⟩ ‹Prompt1› «Prompt1» 〈Prompt1〉 <Ｐｒｏｍｐｔ1> <Prompt１> <Prompt١> <Prompt①> <Prompt¹> <𝐏𝐫𝐨𝐦𝐩𝐭𝟏>
<Рrompt1> <Prоmpt1> <Ṕrompt1> <Promt1> <Pormpt1> <Propmt1> <Prommpt1> <Region1> <object1> <mask_1>
"""

LOOKALIKES = [
    *_ONE_WORD.split(),
    "<Prompt 1>",
    "< Prompt1 >",
    "<Prompt 1",
    "Prompt 1>",
    "[prompt 1]",
    "<P r o m p t 1>",
    "<Prompt\n1>",
    "<Prompt\t1>",
    "<Prompt\u00a01>",
    "<Pro\u200bmpt1>",
    "<\u202ePrompt1\u202c>",
    "<Prompt\x001>",
    "<Pro\u00admpt1>",
    "<Prompt1\ufe0f>",
    "<p\u0301rompt1>",
    "<Prompt\u31641>",
]

ORDINARY = [
    "",
    "prompt 1",
    "Did the second prompt, 1 of 2, appear?",
    "<Prompt1>",
    "<Prompt0><Prompt1>",
    "<<Prompt1>>",
    "a<Prompt1>b",
    "Is <Prompt0> < <Prompt1>?",
    "is prompt 1 > 2",
    "Is it 5 < 6 & 7 > 3? 50% of R&D [1]",
    "<b>bold</b> <h1> <5>",
    "<|eot_id|> <|reserved_special_token_2|> <NO_Prompt> <image> [INST] <<SYS>>",
    "promptly, 1 answer",
    "プロンプト1",
    "&lt;b&gt; &nosuch;",
]


@pytest.mark.parametrize("word", LOOKALIKES)
@pytest.mark.parametrize("around", ["{}", "Is <Prompt0> left of {}?", "{} <Prompt0>"])
def test_a_word_that_looks_like_a_prompt_is_refused_with_the_spelling_meant(word: str, around: str) -> None:
    with pytest.raises(GarError, match=r"^expected <Prompt1>, got ") as caught:
        check_spelling(around.format(word))
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("word", ["<Prompt>", "<prompt>", "<PromptN>", "<Prompt one>", "<Prompt X>", "&lt;prompt&gt;"])
def test_one_without_a_number_is_told_what_numbers_look_like(word: str) -> None:
    with pytest.raises(GarError, match=re.escape(f"expected <Prompt0>, <Prompt1>, .., got {word}")):
        check_spelling(f"What is {word}?")


def test_the_message_quotes_what_was_written() -> None:
    with pytest.raises(GarError) as caught:
        check_spelling("Is <Prompt0> near &lt;Pro\u200bmpt 2&gt;, or not?")
    assert caught.value.message.startswith("expected <Prompt2>, got &lt;Pro\\u200bmpt 2&gt;:")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_not_refused(text: str) -> None:
    check_spelling(text)


WORD = st.sampled_from(["<", "＜", "&lt;", "‹"])
CLOSE = st.sampled_from([">", "＞", "&gt;", "›", ""])
UNSEEN = st.text(st.sampled_from("\u200b\u200d\u2060\ufeff\u00ad\u0301\u202e\x00 "), max_size=2)


@PROPERTY
@given(st.data())
def test_any_mixture_of_these_faults_is_seen(data: st.DataObject) -> None:
    letters = [data.draw(st.sampled_from([one.lower(), one.upper(), chr(ord(one) + 0xFEE0)])) for one in "Prompt"]
    number = data.draw(st.integers(0, 99))
    digits = "".join(chr(data.draw(st.sampled_from([0x30, 0x660, 0xFF10])) + int(digit)) for digit in str(number))
    inside = "".join(letter + data.draw(UNSEEN) for letter in letters) + digits + data.draw(UNSEEN)
    word = data.draw(WORD) + data.draw(UNSEEN) + inside + data.draw(CLOSE)
    if REFERENCE.fullmatch(word) is None:
        closed = word[-1] in ">＞›;"
        spaced = " " in inside[: len(inside) - len(digits)]
        if closed or not spaced:  # "<P rompt1" without its end is no word any more
            with pytest.raises(GarError, match=f"expected <Prompt{number}>, got"):
                check_spelling(f"Is {word}")


@PROPERTY
@given(st.text(st.characters(), max_size=200), st.integers(0, 10**12))
def test_any_text_is_passed_or_refused_in_one_printable_line(text: str, number: int) -> None:
    for around in (text, f"{text}<Prompt{number}>{text}", f"<{text}>", f"<prompt{text}1>"):
        error = refusal_of(partial(check_spelling, around))
        assert error is None or (error.code, error.message.isprintable()) == (ErrorCode.INVALID_REQUEST, True)
