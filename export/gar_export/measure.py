# SPDX-License-Identifier: Apache-2.0
"""What a model costs on this machine before its first question: the numbers of docs/full_size.md.

    python -m gar_export.measure costs --checkpoint DIR --out DIR [--precision fp32 int4]
    python -m gar_export.measure decoders MODEL MODEL ...

`costs` runs `gar export` and loading (twice: the first time hashes the files) as processes of their own and prints a
Markdown table. `decoders` times the decoders of several exports side by side, so that their ratios hold on a busy
machine too, and compares their logits. What questions cost is measured by `gar bench latency`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.static_cache import Buffer, StaticCache
from gar_ros.engine.steps import run_to_end
from gar_ros.errors import GarError

_GAR = [sys.executable, "-m", "gar_ros.cli.main"]
_MEASURE = [sys.executable, "-m", "gar_export.measure"]
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    seconds: float  # wall clock
    cpu_seconds: float  # of all its threads: hardly depends on what else the machine does
    peak_bytes: int  # largest resident set, the read pages of memory-mapped files among it
    disk_bytes: int  # most that was taken at any time in the watched folder


@dataclass(frozen=True)
class Speed:
    """Of one decoder: medians, tokens a second; and how far its logits are from the first decoder's."""

    model: Path
    prefill: float
    decode: float
    distance: float  # of the vectors, relative to the first's spread


def cost_of(command: Sequence[str], watched: Path | None = None) -> Cost:
    """Runs a command to its end. watched: the folder whose size is followed.

    What this process itself holds (well under 1 GB) is the least that can be seen as a peak: Linux counts from before
    the new program starts. Raises CalledProcessError when the command fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command)
    before = disk_bytes(watched) if watched else 0
    largest, pid = before, 0
    while not pid:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if not pid:
            largest = max(largest, disk_bytes(watched) if watched else 0)
            time.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    # Linux gives kibibytes.
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, largest - before)


def disk_bytes(folder: Path) -> int:
    """What the files of a folder and its folders take on the disk; files may come and go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def decoder_speeds(
    models: Sequence[Path], prompt: int = 512, steps: int = 8, repeats: int = 5, threads: int = 0, history: int = 0
) -> list[Speed]:
    """Prefill of `prompt` tokens and greedy steps after `history` tokens (0: after the prompt), on the CPU.

    The models take turns in each repeat, so what else the machine does weighs on all of them alike. Raises GarError.
    """
    runtime = OrtRuntime("cpu", threads)
    decoders = [_load_decoder(ModelDir.open(model), runtime) for model in models]
    seconds: list[tuple[list[float], list[float]]] = [([], []) for _ in models]
    found: dict[int, NDArray[np.float32]] = {}
    ids = np.random.default_rng(0).integers(0, 1000, prompt).tolist()
    for _ in range(repeats + 1):
        for number, (decoder, (prefills, decodes)) in enumerate(zip(decoders, seconds, strict=True)):
            start = time.perf_counter()
            cache, following = decoder.prefill(decoder.empty, decoder.embed(ids), never_cancelled, decoder.vocabulary)
            prefills.append(time.perf_counter() - start)
            found[number] = following.logits()
            if history:
                cache = stretched(cache, history)
            start = time.perf_counter()
            # The first token comes from the prefill.
            run_to_end(decoder.generate(cache, following, steps + 1, never_cancelled))
            decodes.append(time.perf_counter() - start)
    # The first repeat reads the weights from the disk.
    return [
        Speed(
            model,
            prompt / statistics.median(prefills[1:]),
            steps / statistics.median(decodes[1:]),
            float(np.linalg.norm(found[number] - found[0]) / np.linalg.norm(found[0] - found[0].mean())),
        )
        for number, (model, (prefills, decodes)) in enumerate(zip(models, seconds, strict=True))
    ]


def stretched(cache: KvCache, length: int) -> KvCache:
    """A cache of `length` positions, more than it has now, that repeats itself: no step's time depends on values."""
    settled = length - cache.recent
    values = dict(cache.values)
    for name, value in values.items():
        if name.startswith("past_key_values"):
            array = on_host(value)[..., : cache.length - cache.recent, :]
            times = -(-settled // array.shape[-2])
            values[name] = np.concatenate([array] * times, axis=-2)[..., :settled, :].copy()
    if isinstance(cache, StaticCache):
        buffer = Buffer({name: np.zeros_like(on_host(value)) for name, value in cache.values.items()})
        for name, value in values.items():
            on_host(buffer.values[name])[..., :length, :] = on_host(value)
        return buffer.beginning(length)
    return KvCache(length, values, cache.recent)


def _load_decoder(model: ModelDir, runtime: OrtRuntime) -> Decoder:
    """A decoder that never ends its text."""
    manifest, embeddings = model.manifest, model.embeddings()
    runner = runtime.load(model.file(DECODER))
    return Decoder(runner, embeddings, manifest.sizes, (), manifest.kv_cache, manifest.tail)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Measure what GAR costs on this machine.")
    parts = parser.add_subparsers(required=True, metavar="what")
    costs = parts.add_parser("costs", help="time and peak memory of export and load")
    costs.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="in GAR's released format")
    costs.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets a model folder for each precision")
    costs.add_argument("--precision", nargs="+", default=["fp32", "int8", "int4"], metavar="NAME")
    costs.set_defaults(measure=_costs)
    load = parts.add_parser("load", help="load a model for the CPU, and end")
    load.add_argument("model", type=Path, metavar="MODEL")
    load.set_defaults(measure=_load)
    decoders = parts.add_parser("decoders", help="tokens a second of several exported models' decoders")
    decoders.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="ratios are to the first one")
    decoders.add_argument("--prompt", type=int, default=512, metavar="N", help="tokens (default: %(default)s)")
    decoders.add_argument("--history", type=int, default=0, metavar="N", help="tokens before decoding (0: prompt)")
    decoders.add_argument("--repeats", type=int, default=5, metavar="N", help="(default: %(default)s)")
    decoders.add_argument("--threads", type=int, default=0, metavar="N", help="(default: all cores)")
    decoders.set_defaults(measure=_decoders)
    args = parser.parse_args(argv)
    measure: Callable[[argparse.Namespace], None] = args.measure
    try:
        measure(args)
    except GarError as error:
        print(f"measure: {error.message}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"measure: '{' '.join(error.cmd)}' ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


def _costs(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    print("| | step | wall s | CPU s | peak memory GB | peak disk GB |\n|---|---|---|---|---|---|", flush=True)
    for precision in args.precision:
        model = args.out / precision
        command = ["export", "--checkpoint", str(args.checkpoint), "--out", str(model), "--precision", precision]
        _row(precision, "export", cost_of([*_GAR, *command], watched=args.out))
        with tempfile.TemporaryDirectory() as cache:
            # Hashes are recorded here: the first load finds none, whatever ran before.
            environment = ["env", f"XDG_CACHE_HOME={cache}"]
            for step in ("first load", "load"):
                _row(precision, step, cost_of([*environment, *_MEASURE, "load", str(model)]))


def _row(precision: str, step: str, cost: Cost) -> None:
    disk = f"{cost.disk_bytes / 1e9:.2f}" if cost.disk_bytes else ""
    times = f"{cost.seconds:.1f} | {cost.cpu_seconds:.1f}"
    print(f"| {precision} | {step} | {times} | {cost.peak_bytes / 1e9:.2f} | {disk} |", flush=True)


def _load(args: argparse.Namespace) -> None:
    GarEngine.open(args.model, provider="cpu")


def _decoders(args: argparse.Namespace) -> None:
    speeds = decoder_speeds(args.models, args.prompt, repeats=args.repeats, threads=args.threads, history=args.history)
    first = speeds[0]
    print(f"{'model':24} {'prefill':>10} {'decode':>10}  tokens/s, relative to the first, and the logits' distance")
    for speed in speeds:
        ratios = f"{speed.prefill / first.prefill:.2f} / {speed.decode / first.decode:.2f}"
        print(f"{speed.model.name:24} {speed.prefill:10.1f} {speed.decode:10.1f}  {ratios}  {speed.distance:.1%}")


if __name__ == "__main__":
    sys.exit(main())
