# SPDX-License-Identifier: Apache-2.0
"""What a provider computes, compared with the CPU's stages, and how fast it is; in a process of its own.

python -m gar_ros.bench.selftest subject --model DIR --provider NAME --threads N --tiles N [--stages FILE | --look]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gar_ros.bench.latency.ours import decoder_bytes, endless_engine
from gar_ros.bench.selftest.row import Row, failed
from gar_ros.bench.selftest.speed import free_on_gpu, rows
from gar_ros.bench.selftest.stages import Setting, Stages, attempted, comparisons
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.select import PROVIDERS, open_runtime
from gar_ros.errors import LEAVING, reason_of

LOADED = "provider"


def tested(model: Path, provider: str, threads: int, tiles: int, stages: Path | None) -> Iterator[Row]:
    """All rows, each as soon as it is known. stages: what the CPU computed; None where it could not."""
    settings: list[Setting] = []
    before = None if provider in ("cpu", "openvino") else free_on_gpu()

    def load() -> Row:
        start = time.perf_counter()
        # Without end tokens, so that answers have the length that is measured.
        engine = endless_engine(model, provider, threads)
        settings.append(Setting(engine, tiles))
        seconds = time.perf_counter() - start
        return Row(LOADED, None, f"{engine.provider}, loaded in {seconds:.1f} s", {"load_s": seconds})

    yield attempted(LOADED, load)
    if not settings:
        return
    (setting,) = settings
    if stages is not None:
        yield from comparisons(setting, Stages.read(stages))
    try:
        setting.probabilities()  # all of it has run once before it is measured
        yield from rows(setting, decoder_bytes(model), before)
    except LEAVING:
        raise
    except BaseException as error:  # noqa: BLE001 a runtime may raise anything
        yield failed("speed", reason_of(error))


def looked(model: Path, provider: str, threads: int) -> Row:
    """Whether the provider is there, before minutes are spent on the CPU's side."""

    def look() -> Row:
        runtime = open_runtime(ModelDir.open(model), provider, threads, allow_fallback=False)
        return Row(LOADED, None, runtime.provider)

    return attempted(LOADED, look)


def main(argv: Sequence[str]) -> int:
    """Prints the rows, a line of JSON each. With --look one, whose text is the provider that "auto" takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--provider", choices=PROVIDERS, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tiles", type=int, required=True)
    parser.add_argument("--stages", type=Path)
    parser.add_argument("--look", action="store_true")
    args = parser.parse_args(argv)
    if args.look:
        print(looked(args.model, args.provider, args.threads).as_line(), flush=True)
        return 0
    for row in tested(args.model, args.provider, args.threads, args.tiles, args.stages):
        print(row.as_line(), flush=True)
    return 0
