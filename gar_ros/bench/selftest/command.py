# SPDX-License-Identifier: Apache-2.0
"""The options of `gar selftest`, its processes one after another, the table and the JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gar_ros.bench.files import write_whole
from gar_ros.bench.latency.limits import thread_limits
from gar_ros.bench.options import positive
from gar_ros.bench.selftest.allowed import GPU_PROVIDERS
from gar_ros.bench.selftest.bandwidth import NAME as BANDWIDTH
from gar_ros.bench.selftest.row import Row, failed
from gar_ros.bench.selftest.subject import LOADED
from gar_ros.doctor.gather import gather
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.runtime.select import PROVIDERS
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, read
from gar_ros.progress import timed_lines

FORMAT = "gar_ros-selftest-1"
_TILES = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar selftest`."""
    add = parser.add_argument
    add("model", nargs="?", type=Path, metavar="DIR", help="exported model folder (default: the shipped gar-tiny)")
    add("--provider", choices=PROVIDERS, default="auto", help="what to test (default: %(default)s)")
    add(
        "--reference",
        type=Path,
        metavar="DIR",
        help="what the CPU runs, for a model that it can't run: another export of the same checkpoint",
    )
    add("--tiles", type=positive, default=_TILES, metavar="N", help="most tiles of the image (default: %(default)s)")
    add("--threads", type=positive, default=os.cpu_count() or 1, metavar="N", help="(default: all cores)")
    add("--json", type=Path, metavar="FILE", help="also write the rows, versions and the machine, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table; 1 where a limit doesn't hold or something failed. Raises GarError BAD_MODEL for a folder that
    can't be read, INVALID_REQUEST for a file that can't be written."""
    model = ModelDir.open(args.model or default_model_dir())
    reference = model if args.reference is None else ModelDir.open(args.reference)
    if reference.manifest.sizes != model.manifest.sizes:
        what = f"expected '{reference.path}' to be of the sizes of '{model.path}': export both from one checkpoint"
        raise GarError(ErrorCode.BAD_MODEL, what)
    show = timed_lines()
    made: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in _rows(args, model.path, reference.path, Path(folder), show):
            made.append(row)
    made.extend(_share(made))
    print(as_text(made), end="", flush=True)
    if args.json is not None:
        show("what is on this machine")
        content = {
            "format": FORMAT,
            "model": {
                "name": model.manifest.name,
                "dtypes": model.manifest.dtypes,
                "kv_cache": model.manifest.kv_cache,
            },
            "provider": args.provider,
            "threads": args.threads,
            "tiles": args.tiles,
            "ok": passed(made),
            "rows": [json.loads(row.as_line()) for row in made],
            "facts": dataclasses.asdict(gather(model.path)),
        }
        write_whole(args.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return 0 if passed(made) else 1


def _rows(
    args: argparse.Namespace, model: Path, reference: Path, folder: Path, show: Callable[[str], None]
) -> Iterator[Row]:
    stages = folder / "stages.npz"
    threads = ["--threads", str(args.threads)]
    common = ["--tiles", str(args.tiles), *threads]
    of_provider = ["subject", "--model", str(model), *common, "--provider"]
    of_cpu = ["reference", "--model", str(reference), *common, "--out", str(stages)]
    found = list(rows_of(LOADED, [*of_provider, args.provider, "--look"]))
    if any(row.ok is False for row in found):
        yield from found
        return
    provider = found[-1].text
    show("ONNX Runtime's CPU, the graphs as they are written")
    yield from (row for row in rows_of("the CPU's side", of_cpu) if row.ok is False)
    show(f"provider {provider}")
    given = ["--stages", str(stages)] if stages.exists() else []
    yield from rows_of("the provider's side", [*of_provider, provider, *given])
    show(BANDWIDTH)
    gpu = ["--gpu"] if provider in GPU_PROVIDERS else []
    yield from rows_of(BANDWIDTH, ["bandwidth", *threads, *gpu], thread_limits(args.threads))


def rows_of(name: str, words: Sequence[str], environment: dict[str, str] | None = None) -> Iterator[Row]:
    """The rows that a process prints, each when it comes, and one more when it ends as it should not.

    name: of that row. words: of `python -m gar_ros.bench.selftest`.
    """
    command = [sys.executable, "-m", "gar_ros.bench.selftest", *words]
    own = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=own, text=True, encoding="utf-8") as process:
        for line in process.stdout or ():
            try:
                yield read(line, Row)
            except JsonError:  # a library that prints
                print(line, end="", file=sys.stderr)
    if process.returncode < 0:
        yield failed(name, f"its process was ended by {signal.Signals(-process.returncode).name}")
    elif process.returncode:
        yield failed(name, f"its process ended with {process.returncode}")


def _share(made: Sequence[Row]) -> Iterator[Row]:
    """Which part of the memory's bandwidth decode uses."""
    numbers = {row.name: row.numbers for row in made}
    decode, rate = numbers.get("decode"), numbers.get(BANDWIDTH, {}).get("bytes_per_second")
    tokens, count = (decode.get("tokens_per_second"), decode.get("bytes_per_token")) if decode else (None, None)
    if tokens and count and rate:
        share = tokens * count / rate
        yield Row("decode's share of it", None, f"{share:.0%}", {"share": share})


def passed(made: Sequence[Row]) -> bool:
    """Whether every limit holds and something was compared."""
    return all(row.ok is not False for row in made) and any(row.ok for row in made)


def as_text(made: Sequence[Row]) -> str:
    """The table, and whether all limits hold."""
    width = max((len(row.name) for row in made), default=0)
    words = {True: "ok", False: "FAILED", None: ""}
    lines = [f"{row.name:{width}}  {words[row.ok]:6}  {row.text}" for row in made]
    lines.append("all limits hold" if passed(made) else "NOT all limits hold")
    return "\n".join(lines) + "\n"
