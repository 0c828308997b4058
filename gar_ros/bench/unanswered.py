# SPDX-License-Identifier: Apache-2.0
"""Items that get no answer: because the model can't be asked them, or because their data are wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gar_ros.bench.journal import Record
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import printable

UNASKABLE = (ErrorCode.TOO_MANY_REGIONS, ErrorCode.QUESTION_TOO_LONG)
"""No fault of the data: the item counts as unanswered, in the journal too."""

_OF_THE_DATA = (ErrorCode.INVALID_REQUEST, ErrorCode.EMPTY_MASK, ErrorCode.PROMPT_WITHOUT_REGION)


def unanswered(error: GarError) -> Record:
    """The record of an item that has no answer for this reason."""
    return {"output": "", "unanswered": f"{error.code.name}: {error.message}"}


@dataclass(frozen=True)
class WrongData:
    """What is wrong with an item's data, on its way to the process that tells it."""

    code: ErrorCode
    message: str

    @classmethod
    def of(cls, error: GarError) -> WrongData:
        """Raises the error itself where it is about something else."""
        if error.code not in _OF_THE_DATA:
            raise error
        return cls(error.code, error.message)


class BadItems:
    """Items whose data are wrong. Each is told on stderr and counts as unanswered; the others are asked.

    They are not in the journal, so that a run after they were mended asks them.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        """By key."""

    @contextmanager
    def skipping(self, key: str) -> Iterator[None]:
        """What its body finds wrong with an item's data costs this item alone. Other errors pass."""
        try:
            yield
        except GarError as error:
            if error.code not in _OF_THE_DATA:
                raise
            shown = GarError(error.code, printable(error.message))  # a name in it may be anything
            print(f"skipped: {shown.message}", file=sys.stderr)
            self.records[key] = unanswered(shown)
