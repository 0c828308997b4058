# SPDX-License-Identifier: Apache-2.0
"""The executable of a `gar` node in which Python code can't open a socket; DDS, which is C++, still can."""

from __future__ import annotations

import sys

from gar_ros.node.gar_node import main

DENIED = "this process may open no socket but those of DDS"


def deny_sockets(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook of Python. Raises PermissionError, which the log shows, for whatever is done with a socket."""
    if event.startswith("socket."):
        sys.stderr.write(f"{DENIED}: {event} {arguments}\n")
        raise PermissionError(f"{DENIED}: {event}")


if __name__ == "__main__":
    sys.addaudithook(deny_sockets)
    sys.exit(main())
