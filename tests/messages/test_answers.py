# SPDX-License-Identifier: Apache-2.0
"""What the messages of answers say."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header

from gar_ros.engine.encoded_frame import Answer
from gar_ros.memory.answers import AnswerRecord
from gar_ros.messages.answers import answer_message


def test_an_answer_carries_what_was_asked_and_the_images_header() -> None:
    answer = Answer("no", (4,), 1, (0.25, 0.75), 0.75, True, 340, 0, {"decode": 0.1})
    answered = AnswerRecord(answer, "<Prompt0>?", ("a", "b"), ("yes", "no"), 2_000_000_001, "camera", 5, 3_000_000_004)
    message = answer_message(answered)
    assert message.header == Header(frame_id="camera", stamp=Time(sec=2, nanosec=1))
    assert (message.question, message.text, message.choice) == ("<Prompt0>?", "no", 1)
    assert (message.region_ids, message.choices) == (["a", "b"], ["yes", "no"])
    assert (list(message.probabilities), message.confidence, message.complete) == ([0.25, 0.75], 0.75, True)
    assert (message.age, message.latency) == (Duration(nanosec=5), Duration(sec=3, nanosec=4))
    assert (message.prompt_tokens, message.generated_tokens) == (340, 0)
