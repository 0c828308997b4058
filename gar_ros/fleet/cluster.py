# SPDX-License-Identifier: Apache-2.0
"""The options that say on which Ray cluster a command works, and with how many workers of which size."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gar_ros.engine.runtime.select import ON_CPU

LOCAL = "local"
"""The address of a cluster that the command itself starts on this machine, and ends."""
_ADDRESS = re.compile(rf"auto|{LOCAL}|(ray://)?[\w.-]+:\d{{1,5}}|(ray://)?\[[0-9a-fA-F:]+\]:\d{{1,5}}")


@dataclass(frozen=True)
class Cluster:
    """Where workers run and what each of them gets. workers: None means as many as fit. gpus: None means one where the
    cluster has GPUs and the provider can use them."""

    address: str = LOCAL
    workers: int | None = None
    cpus: int = 1
    gpus: float | None = None
    on_cpu: bool = False
    """Whether the provider runs on the CPU alone."""


def add_fleet_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --ray, --workers, --cpus and --gpus, for commands that also have the options of the engine."""
    add = parser.add_argument
    add(
        "--ray",
        type=_address,
        nargs="?",
        const=os.environ.get("RAY_ADDRESS") or LOCAL,
        metavar="ADDRESS",
        help="work on a Ray cluster: HOST:PORT, or auto for the one that runs on this machine; without ADDRESS the one "
        "of RAY_ADDRESS, else one that this command starts and ends (needs the Python package ray)",
    )
    add("--workers", type=_positive, metavar="N", help="with --ray: workers, each with a model (default: all that fit)")
    add("--cpus", type=_positive, default=1, metavar="N", help="with --ray: CPUs of a worker (default: %(default)s)")
    add(
        "--gpus",
        type=_share,
        metavar="N",
        help="with --ray: GPUs of a worker; 0.5: two share one (default: 1 where the cluster has any)",
    )


def cluster_of(args: argparse.Namespace) -> Cluster | None:
    """The cluster that the options of `add_fleet_arguments` name, None for this process alone."""
    if args.ray is None:
        return None
    return Cluster(args.ray, args.workers, args.cpus, args.gpus, args.provider in ON_CPU)


def worker_options(args: argparse.Namespace, cluster: Cluster | None) -> argparse.Namespace:
    """The options of the engine alone, as a worker opens it wherever it runs: paths are absolute, and a worker has as
    many threads as CPUs unless --threads says otherwise."""
    return argparse.Namespace(
        model=_absolute(args.model),
        provider=args.provider,
        engines=_absolute(args.engines),
        threads=args.threads if cluster is None else args.threads or cluster.cpus,
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected HOST:PORT, auto or {LOCAL}, got '{text}'; where --ray has no address it must not stand before "
            "a bag"
        )
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {number}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1000 or (number > 1 and number != int(number)):  # Ray splits no more than one GPU
        raise argparse.ArgumentTypeError(f"expected a share of 0 to 1 or a whole number of GPUs, got {text}")
    return number
