# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a decoder that fails at first, each time in another way."""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

from gar_ros.engine.decoder import Decoder
from gar_ros.node import gar_node


class PanicError(BaseException):
    """As the PanicException of libraries written in Rust, which is no Exception."""


class UnprintableError(Exception):
    """Some can't even be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


FAILURES = [KeyError("odd"), PanicError("panicked"), SystemExit(3), RecursionError(), UnprintableError()]


def main() -> int:
    """The executable; returns its exit code."""
    extend, failures = Decoder._extend, iter(FAILURES)

    def fail_at_first(*args: Any) -> Any:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return extend(*args)

    with patch.object(Decoder, "_extend", fail_at_first):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
