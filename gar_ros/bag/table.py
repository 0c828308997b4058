# SPDX-License-Identifier: Apache-2.0
"""Answers as a Parquet table, one row each: for people who train on them or look for something."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message

from gar_ros.bag.annotate import ANSWERS
from gar_ros.bag.files import BagReader
from gar_ros.errors import ErrorCode, GarError, missing_package, reason_of
from gar_ros.memory.answers import AnswerRecord
from gar_ros.messages.headers import stamp_ns
from gar_ros.msg import AnswerArray

BAG_TABLE = "answers.parquet"
"""In the folder of a new bag: the rows of its answers, as they were asked for with a table."""


def require_pyarrow() -> Any:
    """The package pyarrow. Raises GarError INVALID_REQUEST where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing_package("--table", "pyarrow", "'pyarrow>=25'") from error
    return pyarrow


def schema() -> Any:
    """The columns. bag: name of the new bag. topic: of the images. stamp_ns: of the image. regions[N] is <PromptN> of
    the question, which is empty for a description. choices and probabilities go together and are empty for an open
    question. token_ids: of the text, null where they are not known."""
    pa = require_pyarrow()

    def texts(name: str) -> Any:
        return pa.field(name, pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False)

    return pa.schema(
        [
            pa.field("bag", pa.string(), nullable=False),
            pa.field("topic", pa.string(), nullable=False),
            pa.field("stamp_ns", pa.int64(), nullable=False),
            texts("regions"),
            pa.field("question", pa.string(), nullable=False),
            texts("choices"),
            pa.field("answer", pa.string(), nullable=False),
            pa.field("probabilities", pa.list_(pa.field("item", pa.float32(), nullable=False)), nullable=False),
            pa.field("confidence", pa.float32(), nullable=False),
            pa.field("complete", pa.bool_(), nullable=False),
            pa.field("token_ids", pa.list_(pa.field("item", pa.int32(), nullable=False))),
        ]
    )


class Rows:
    """The rows of one bag."""

    def __init__(self, bag: str, topic: str) -> None:
        """bag: name of the new bag. topic: of the images. Raises GarError where pyarrow is not installed."""
        require_pyarrow()
        self._bag, self._topic = bag, topic
        self._rows: list[dict[str, Any]] = []

    def add(self, records: Iterable[AnswerRecord]) -> None:
        """Answers about one image."""
        for record in records:
            answer = record.answer
            row = {
                "stamp_ns": record.stamp_ns,
                "regions": list(record.region_ids),
                "question": record.question,
                "choices": list(record.choices),
                "answer": answer.text,
                "probabilities": list(answer.probabilities),
                "confidence": answer.confidence,
                "complete": answer.complete,
                "token_ids": list(answer.token_ids),
            }
            self._rows.append({"bag": self._bag, "topic": self._topic, **row})

    def add_message(self, message: AnswerArray) -> None:
        """Answers as they stand in a bag, without the ids of their tokens."""
        for answer in message.answers:
            row = {
                "stamp_ns": stamp_ns(answer.header.stamp),
                "regions": list(answer.region_ids),
                "question": answer.question,
                "choices": list(answer.choices),
                "answer": answer.text,
                "probabilities": list(answer.probabilities),
                "confidence": answer.confidence,
                "complete": answer.complete,
                "token_ids": None,
            }
            self._rows.append({"bag": self._bag, "topic": self._topic, **row})

    def table(self) -> Any:
        """As pyarrow's Table."""
        return require_pyarrow().Table.from_pylist(self._rows, schema())

    def parquet(self) -> bytes:
        """As a Parquet file; the same rows give the same bytes."""
        out = BytesIO()
        require_pyarrow().parquet.write_table(self.table(), out)
        return out.getvalue()


def write_table(path: Path, bags: Iterable[tuple[str, Path]], topic: str) -> int:
    """Writes the rows of these new bags into one file, whole or not at all, and returns their number.

    bags: name and folder. topic: of the images. Rows of a bag that was answered about without a table are read from
    its answers. Raises GarError INVALID_REQUEST.
    """
    pa = require_pyarrow()
    rows = 0
    try:
        with _replaced(path) as part, pa.parquet.ParquetWriter(part, schema()) as writer:
            for name, folder in bags:
                table = _rows_of(name, folder, topic)
                writer.write_table(table)
                rows += table.num_rows
    except (OSError, pa.ArrowException) as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"can't write the table '{path}': {reason_of(error)}") from error
    return rows


def _rows_of(name: str, folder: Path, topic: str) -> Any:
    kept = folder / BAG_TABLE
    if kept.exists():
        return require_pyarrow().parquet.read_table(kept, schema=schema())
    rows = Rows(name, topic)
    with BagReader(folder) as reader:
        for message in reader.messages([ANSWERS]):
            rows.add_message(deserialize_message(message.data, AnswerArray))
    return rows.table()


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A file to write, which replaces the one at `path` when the context is left without an error."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
