# SPDX-License-Identifier: Apache-2.0
"""One of the soak's planners, a process: asks one thing after another and writes down what it got."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial

import rclpy
from rclpy.client import Client
from rclpy.task import Future

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from tools.soak.cases import BAD, GOOD, Case, Seen
from tools.soak.journal import Journal

BAD_SHARE = 0.2
READY_SECONDS = 120.0


def main(arguments: list[str]) -> int:
    """Asks until it is killed. arguments: its journal, its name, the seed of its choices, seconds between requests."""
    path, name, seed, pause = arguments
    journal = Journal.append_to(path)
    rclpy.init()
    node = rclpy.create_node(name)
    client = RegionClient(node)
    client.wait_until_ready(READY_SECONDS)
    replies = Replies(list(node.clients))
    seen = Seen(random.Random(int(seed)))  # noqa: S311, no secret
    _ask(client, journal, GOOD[0], seen, replies, bad=False)
    while node.context.ok():
        bad = seen.chance.random() < BAD_SHARE
        case = seen.chance.choice(BAD if bad else GOOD)
        if len(seen.ids) < case.needs or (not bad and seen.chance.random() < 0.3):
            bad, case = False, GOOD[0]  # planners look again and again at what there is
        _ask(client, journal, case, seen, replies, bad)
        time.sleep(seen.chance.uniform(0.0, 2 * float(pause)))
    return 0


class Replies:
    """Counts the replies to each request of some service clients, also those that rclpy drops as nobody waits."""

    def __init__(self, clients: list[Client]) -> None:
        self.repeated = self.late = 0
        """Numbers of replies beyond the first of their request, and of those that came when nobody waited any more."""
        for client in clients:
            counted = partial(self._count, client.get_pending_request, Counter())
            client.get_pending_request = counted  # type: ignore[method-assign]

    def _count(self, pending: Callable[[int], Future], counts: Counter[int], sequence_number: int) -> Future:
        counts[sequence_number] += 1
        self.repeated += counts[sequence_number] > 1
        try:
            return pending(sequence_number)
        except KeyError:
            self.late += counts[sequence_number] == 1
            raise


def _ask(client: RegionClient, journal: Journal, case: Case, seen: Seen, replies: Replies, bad: bool) -> None:
    """One request, one row when it begins and one when it has ended."""
    journal.write(event="asks", case=case.name, bad=bad)
    begin, ages, message = time.monotonic(), [], ""
    try:
        answers = case.ask(client, seen)
        ages = [answer.age.sec + answer.age.nanosec / 1e9 for answer in answers]
        code = ErrorCode.OK.name
    except GarError as error:
        code, message = error.code.name, error.message
    except Exception as error:  # noqa: BLE001 what is no GarError is a fault that the report lists
        code, message = type(error).__name__, traceback.format_exc()
    journal.write(
        event="replied",
        case=case.name,
        bad=bad,
        code=code,
        seconds=round(time.monotonic() - begin, 4),
        age=round(max(ages, default=0.0), 3),
        message=message[:300],
        repeated=replies.repeated,
        late=replies.late,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
