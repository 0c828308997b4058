# SPDX-License-Identifier: Apache-2.0
"""Text from a device that computes while the host goes on: in order, at once, and soon stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine import run_ahead
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.engine.run_ahead import MOST_AHEAD
from gar_ros.engine.steps import Steps
from gar_ros.errors import ErrorCode, GarError
from tests.engine.fakes import HostTensor

END = 9
SIZES = Sizes(tile=1, patch=1, grid=1, hidden=1, layers=1, heads=1, kv_heads=1, head_dim=1, vocab=10, max_positions=999)
PROMPT = np.zeros((3, 1), np.float32)


class SlowDevice:
    """Stands in for a GPU with a clock: each run takes `seconds` after those before it, while the host goes on.

    text: the tokens that follow each other, END after the last. An embedding is the token's place in the text.
    """

    def __init__(self, seconds: float, text: list[int]) -> None:
        self.now, self.busy_until = 0.0, 0.0
        self.runs = 0
        self._seconds, self._text = seconds, text

    def run(self, feeds: Mapping[str, Any]) -> dict[str, HostTensor]:
        self.runs += 1
        self.busy_until = max(self.busy_until, self.now) + self._seconds
        embeds = feeds["inputs_embeds"]
        place = int((embeds if isinstance(embeds, np.ndarray) else embeds.numpy())[0, -1, 0])
        token = self._text[place] if place < len(self._text) else END
        keys = HostTensor(np.zeros((1, 1, int(feeds["position_ids"][0, -1]) + 1, 1)))
        return {
            "next_ids": HostTensor(np.array([[token]])),
            "next_log_p": HostTensor(np.array([[-0.5]], np.float32)),
            "next_embeds": HostTensor(np.full((1, 1, 1), place + 1, np.float32)),
            "present.0.key": keys,
            "present.0.value": keys,
        }

    def type_of(self, name: str) -> np.dtype:
        return np.dtype(np.float32)

    def fetch(self, tensor: HostTensor) -> Callable[[], NDArray[Any]]:
        ready = self.busy_until

        def wait() -> NDArray[Any]:
            self.now = max(self.now, ready)
            return tensor.numpy()

        return wait

    def numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        return np.arange(start, stop)


@pytest.fixture
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SlowDevice:
    """Its parameters: seconds a run, and the length of the text."""
    seconds, length = getattr(request, "param", (0.01, 20))
    made = SlowDevice(seconds, [place % END for place in range(length)])
    monkeypatch.setattr(run_ahead, "perf_counter", lambda: made.now)
    return made


def generate(
    device: SlowDevice, max_tokens: int = 64, check: Callable[[], None] = never_cancelled
) -> tuple[Steps[int, Any], KvCache]:
    decoder = Decoder(device, np.zeros((10, 1), np.float32), SIZES, [END], tail="tokens")
    cache, following = decoder.prefill(decoder.empty, PROMPT, never_cancelled)
    return Steps(decoder.generate(cache, following, max_tokens, check)), cache


def test_the_text_is_whole_and_in_order(device: SlowDevice) -> None:
    text, cache = generate(device)
    found = list(text)
    assert found == [place % END for place in range(20)]
    assert (text.result.ids, text.result.complete) == (tuple(found), True)
    assert text.result.mean_log_p == -0.5
    assert cache.length == len(PROMPT)


def test_the_first_token_comes_when_it_is_computed(device: SlowDevice) -> None:
    next(iter(generate(device)[0]))
    assert device.now == pytest.approx(0.01)


def test_the_device_does_not_wait_for_the_host(device: SlowDevice) -> None:
    """Which takes nearly as long for a token as the device does. The prompt takes a run, too."""
    text, _ = generate(device)
    for _ in text:
        device.now += 0.009
    assert device.now == pytest.approx(0.01 * (1 + 20))


def test_the_end_is_seen_at_once_and_what_was_asked_for_behind_it_is_little(device: SlowDevice) -> None:
    text, _ = generate(device)
    list(text)
    assert device.now == pytest.approx(0.01 * (1 + 20))
    assert device.runs <= 1 + 20 + MOST_AHEAD
    assert device.busy_until - device.now <= run_ahead.QUEUED_SECONDS


@pytest.mark.parametrize("most", [1, 2, 20])
def test_no_run_goes_beyond_the_longest_text(device: SlowDevice, most: int) -> None:
    """The prompt's run tells the first token."""
    text, _ = generate(device, most)
    assert len(list(text)) == most
    assert not text.result.complete
    assert device.runs == most


@pytest.mark.parametrize("device", [(0.002, 500), (0.011, 200), (0.024, 90), (0.049, 50)], indirect=True)
@pytest.mark.parametrize("after", [0.0, 0.03, 0.4, 0.7])
def test_a_request_that_is_cancelled_makes_room_within_100_ms(device: SlowDevice, after: float) -> None:
    def check() -> None:
        if device.now >= after:
            raise GarError(ErrorCode.CANCELLED, "enough")

    with pytest.raises(GarError, match="enough"):
        list(generate(device, 500, check)[0])
    assert after <= device.now
    assert device.busy_until <= after + 0.1 + 1e-9


@pytest.mark.parametrize("device", [(0.2, 20)], indirect=True)
def test_a_slow_device_is_asked_for_one_token_at_a_time(device: SlowDevice) -> None:
    """Once it is known to be slow: then what the host takes makes no difference."""
    text, _ = generate(device)
    for number, _ in enumerate(text):
        assert device.busy_until <= device.now + (0.2 if number < 2 else 0) + 1e-9


def test_a_host_that_was_late_once_does_not_fill_the_queue_of_a_slow_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = SlowDevice(0.04, [1] * 30)
    monkeypatch.setattr(run_ahead, "perf_counter", lambda: device.now)
    for number, _ in enumerate(generate(device)[0]):
        if number == 3:
            device.now += 0.5
        assert device.busy_until <= device.now + 0.1
