# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.fixtures_export import (  # noqa: F401, fixtures
    bf16_1b,
    checkpoint_1b,
    checkpoint_8b,
    exported_1b,
    few_bits_1b,
    fp16_1b,
    fp16_8b,
    fp16_tiny,
    golden_checkpoint,
    golden_engine,
    golden_export,
    int4_gpu_1b,
    small_checkpoint,
    static_1b,
    wide_export,
)
from tests.fixtures_golden import golden_case, golden_path, shared  # noqa: F401, fixtures
from tests.fixtures_model import engine, model_dir  # noqa: F401, fixtures
from tests.optional import pytest_collect_directory, pytest_pycollect_makemodule  # noqa: F401, hooks
from tests.parity_table import parity_table, pytest_terminal_summary  # noqa: F401, a fixture and a hook
from tests.parts import pytest_addoption, pytest_collection_modifyitems, pytest_ignore_collect  # noqa: F401, hooks
from tests.processes import StartProcess, process_starter

if TYPE_CHECKING:
    from rclpy.node import Node

CHECKOUT = Path(__file__).resolve().parents[1]
# Higher domains use ports from the range that Linux gives to other connections.
ROS_DOMAINS = range(1, 102)
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_used_domains: set[int] = set()
_next_domains = islice(cycle(ROS_DOMAINS), len(ROS_DOMAINS) * _WORKER // _WORKERS, None)

settings.register_profile("gar_ros", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("gar_ros")


def pytest_configure() -> None:
    """Processes that tests start find the checkout's gar_export, as the tests do (pythonpath in pyproject.toml)."""
    paths = [str(CHECKOUT / "export"), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The source tree under test."""
    return CHECKOUT


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A DDS domain on this machine only that no other test, worker or user of this fixture has at the same time."""
    with _locked_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
        monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix, prepend=":")
        profiles = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
        for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", *profiles):
            monkeypatch.delenv(name, raising=False)
        yield domain


@pytest.fixture
def ros_node(ros_domain: int) -> Iterator[Node]:
    """The test's own node, in a domain of its own."""
    import rclpy  # tests of the ROS-free parts run without ROS

    rclpy.init()
    node = rclpy.create_node("test")
    yield node
    node.destroy_node()
    rclpy.shutdown()


@contextmanager
def _locked_domain() -> Iterator[int]:
    """The next free domain, not the one before: DDS lists a node that was killed there for 20 s."""
    for domain in islice(_next_domains, len(ROS_DOMAINS)):
        with (Path(tempfile.gettempdir()) / f"gar_ros_domain_{domain}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if domain in _used_domains:
                gc.collect()  # rclpy (7.1) destroys action clients, and with them their node, as late as that
            _used_domains.add(domain)
            yield domain
            return
    pytest.fail("all ROS domains are in use by other tests")


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[StartProcess]:
    """`start_process(*command, env=None)` gives a `ChildProcess`; all of them are gone when the test ends."""
    with process_starter(tmp_path) as start:
        yield start
