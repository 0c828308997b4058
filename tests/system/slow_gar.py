# SPDX-License-Identifier: Apache-2.0
"""The `gar` node with a decoder that takes its time, so that tests come in between on a machine of any speed."""

from __future__ import annotations

import sys
import time
from typing import Any
from unittest.mock import patch

from gar_ros.engine.decoder import Decoder
from gar_ros.node import gar_node

TOKEN_SECONDS = 0.01
"""At least; an answer of 1024 tokens takes ten seconds."""


def main() -> int:
    """The executable; returns its exit code."""
    extend = Decoder._extend

    def extend_slowly(*args: Any) -> Any:
        time.sleep(TOKEN_SECONDS)
        return extend(*args)

    with patch.object(Decoder, "_extend", extend_slowly):
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
