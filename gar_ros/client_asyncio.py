# SPDX-License-Identifier: Apache-2.0
"""The client for programs that run an asyncio loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from gar_ros.client import LIST_TIMEOUT, RegionClient
from gar_ros.client_options import DescribeOptions, FindOptions, GraphOptions, QuestionOptions
from gar_ros.client_waiting import executor_of, leave
from gar_ros.msg import Answer, SceneGraph
from gar_ros.srv import FindRegions, ListRegions

if TYPE_CHECKING:  # Python 3.10 has no Unpack of its own
    from typing_extensions import Unpack

T = TypeVar("T")

MOST_CALLS = 64
"""Calls of one client that wait at the same time; further ones begin when one of them ends."""


class AsyncRegionClient:
    """RegionClient with coroutines; arguments and errors are the same. Use it as `async with AsyncRegionClient(node)`.

    The node is spun by a thread of its own meanwhile, unless an executor has it already; the loop is never blocked.
    """

    def __init__(self, node: Node, gar: str = "gar") -> None:
        """gar: name of the gar node, see RegionClient."""
        self._node = node
        self._client = RegionClient(node, gar)
        self._spinner: _Spinner | None = None
        self._threads = ThreadPoolExecutor(MOST_CALLS, "gar_call")

    async def __aenter__(self) -> AsyncRegionClient:
        if executor_of(self._node) is None:
            self._spinner = _Spinner(self._node)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        spinner, self._spinner = self._spinner, None
        if spinner is not None:
            await asyncio.to_thread(spinner.close)

    async def query(self, text: str, region_ids: Sequence[str] = (), **options: Unpack[QuestionOptions]) -> Answer:
        """The answer to one question about one or several regions."""
        return await self._in_thread(self._client.query, text, region_ids, **options)

    async def describe(self, region_ids: Sequence[str] = (), **options: Unpack[DescribeOptions]) -> list[Answer]:
        """One description for each region."""
        return await self._in_thread(self._client.describe, region_ids, **options)

    async def scene_graph(
        self, region_ids: Sequence[str] = (), predicates: Sequence[str] = (), **options: Unpack[GraphOptions]
    ) -> SceneGraph:
        """The relations that hold between regions."""
        return await self._in_thread(self._client.scene_graph, region_ids, predicates, **options)

    async def find(
        self, words: str, region_ids: Sequence[str] = (), **options: Unpack[FindOptions]
    ) -> FindRegions.Response:
        """The regions that fit the words, most probable first."""
        return await self._in_thread(self._client.find, words, region_ids, **options)

    async def list_regions(
        self, *, stamp: Time | None = None, with_masks: bool = False, timeout: float = LIST_TIMEOUT
    ) -> ListRegions.Response:
        """The regions that can be asked about, with the header and age of their image."""
        return await self._in_thread(self._client.list_regions, stamp=stamp, with_masks=with_masks, timeout=timeout)

    async def wait_until_ready(self, timeout: float) -> None:
        """Returns when the node serves and has a fresh image with regions."""
        await self._in_thread(self._client.wait_until_ready, timeout)

    async def stream(
        self, text: str, region_ids: Sequence[str] = (), **options: Unpack[QuestionOptions]
    ) -> AsyncIterator[str | Answer]:
        """Yields the text that each token adds, then the Answer. Leaving the loop early cancels the work."""
        loop, cancel = asyncio.get_running_loop(), threading.Event()
        parts: asyncio.Queue[str | Answer | None] = asyncio.Queue()

        def on_token(added: str) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, added)

        def ask() -> Answer:
            try:
                return self._client.stream(text, region_ids, on_token, cancel, **options)
            finally:
                loop.call_soon_threadsafe(parts.put_nowait, None)

        work = self._in_thread(ask)
        try:
            while (part := await parts.get()) is not None:
                yield part
            yield await work
        finally:
            cancel.set()
            with suppress(Exception):  # was raised above already, or the caller has left the loop
                await asyncio.shield(work)

    def _in_thread(self, call: Callable[..., T], *arguments: Any, **options: Any) -> asyncio.Future[T]:
        """Runs beside the loop; asyncio's own threads are only a few more than the machine has cores."""
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *arguments, **options))


class _Spinner:
    """Spins a node in a thread of its own until it is closed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stop = threading.Event()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="gar_client", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread has ended, and leaves the node as it was found."""
        self._executor.create_task(self._stop.set)  # a task, since waking alone (rclpy 7.1) doesn't end `spin_once`
        self._thread.join()
        leave(self._node, self._executor)
        self._executor.shutdown()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while not self._stop.is_set() and self._node.context.ok():
                self._executor.spin_once()
