# SPDX-License-Identifier: Apache-2.0
"""The `gar` command: finds the subcommand's module, imports it alone and turns GarError into one line on stderr."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from gar_ros.errors import GarError

COMMANDS = {
    "ask": "ask a question about regions of an image file",
    "annotate": "ask about the images of a recorded bag; answers and overlays go into a new bag",
    "mcp": "serve tools for LLM agents, over MCP, beside a running node",
    "info": "print what an exported model folder holds",
    "doctor": "look what is on this machine to run a model with, and say the one next step",
    "selftest": "compare what runs a model here with the CPU, stage by stage, and measure it",
    "build-engine": "build TensorRT engines of an exported model on the robot",
    "export": "turn a checkpoint into the folder the runtime loads (needs torch)",
    "verify": "compare an exported folder with its checkpoint, stage by stage (needs torch)",
    "bench": "run a benchmark or score its predictions",
}
"""Name -> help; the module gar_ros.cli.<name>, with _ for -, has add_arguments(parser) and run(args) -> exit code."""

_BAD_INPUT = 2
_INTERRUPTED = 130
_NOBODY_READS = 141  # as a shell tells SIGPIPE


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are told in one line, like every other wrong input."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"gar: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `gar` with these arguments (the process's by default) and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(prog="gar", description="Ask questions about regions of images.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == wanted:  # the others' imports are not paid for
            module = importlib.import_module(f"gar_ros.cli.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except GarError as error:
        print(f"gar: {error.message}", file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # as of `gar ask .. | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return _NOBODY_READS


if __name__ == "__main__":
    sys.exit(main())
