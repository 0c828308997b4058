# SPDX-License-Identifier: Apache-2.0
"""The options that name a cluster and the size of its workers."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gar_ros.engine.command_line import add_engine_arguments
from gar_ros.fleet.cluster import Cluster, add_fleet_arguments, cluster_of, worker_options


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    add_fleet_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_without_ray_all_is_done_here() -> None:
    assert cluster_of(parsed()) is None
    assert worker_options(parsed(), None).threads == 0


def test_ray_alone_starts_a_cluster_unless_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_of(parsed("--ray")) == Cluster("local")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert cluster_of(parsed("--ray")) == Cluster("head:6379")
    assert cluster_of(parsed("--ray", "local")) == Cluster("local")


@pytest.mark.parametrize(
    "address", ["auto", "local", "10.0.0.1:6379", "head.lab:6379", "[::1]:6379", "ray://head:10001"]
)
def test_addresses(address: str) -> None:
    assert cluster_of(parsed("--ray", address)) == Cluster(address)


@pytest.mark.parametrize("words", [["--ray", "drives/a"], ["--ray", "a.mcap"], ["--workers", "0"], ["--gpus", "1.5"]])
def test_what_is_no_address_and_no_number_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(*words)
    assert "expected" in capsys.readouterr().err


def test_the_size_of_a_worker() -> None:
    args = parsed("--ray", "--workers", "3", "--cpus", "4", "--gpus", "0.5", "--provider", "cpu")
    assert cluster_of(args) == Cluster("local", 3, 4, 0.5, on_cpu=True)


def test_a_worker_has_as_many_threads_as_cpus_and_finds_files_wherever_it_starts() -> None:
    args = parsed("--ray", "--cpus", "4", "--model", "models/gar-tiny")
    options = worker_options(args, cluster_of(args))
    assert (options.threads, options.model) == (4, Path.cwd() / "models/gar-tiny")
    args.threads = 2
    assert worker_options(args, cluster_of(args)).threads == 2
