# SPDX-License-Identifier: Apache-2.0
"""The client for programs that run an asyncio loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from gar_ros.client import DescribeOptions, GraphOptions, QuestionOptions, RegionClient
from gar_ros.msg import Answer, SceneGraph
from gar_ros.srv import ListRegions

if TYPE_CHECKING:  # Python 3.10 has no Unpack of its own
    from typing_extensions import Unpack


class AsyncRegionClient:
    """RegionClient with coroutines; arguments and errors are the same. Use it as `async with AsyncRegionClient(node)`.

    The node is spun by a thread of its own meanwhile, unless an executor spins it already; the loop is never blocked.
    """

    def __init__(self, node: Node, gar: str = "gar") -> None:
        """gar: name of the gar node, see RegionClient."""
        self._node = node
        self._client = RegionClient(node, gar)
        self._executor: SingleThreadedExecutor | None = None

    async def __aenter__(self) -> AsyncRegionClient:
        if self._node.executor is None:
            self._executor = SingleThreadedExecutor(context=self._node.context)
            self._executor.add_node(self._node)
            self._thread = threading.Thread(target=self._executor.spin, name="gar_client", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
            await asyncio.to_thread(self._thread.join)
            executor.remove_node(self._node)

    async def query(self, text: str, region_ids: Sequence[str] = (), **options: Unpack[QuestionOptions]) -> Answer:
        """The answer to one question about one or several regions."""
        return await asyncio.to_thread(self._client.query, text, region_ids, **options)

    async def describe(self, region_ids: Sequence[str] = (), **options: Unpack[DescribeOptions]) -> list[Answer]:
        """One description for each region."""
        return await asyncio.to_thread(self._client.describe, region_ids, **options)

    async def scene_graph(
        self, region_ids: Sequence[str] = (), predicates: Sequence[str] = (), **options: Unpack[GraphOptions]
    ) -> SceneGraph:
        """The relations that hold between regions."""
        return await asyncio.to_thread(self._client.scene_graph, region_ids, predicates, **options)

    async def list_regions(
        self, *, stamp: Time | None = None, with_masks: bool = False, timeout: float = 5.0
    ) -> ListRegions.Response:
        """The regions that can be asked about, with the header and age of their image."""
        return await asyncio.to_thread(self._client.list_regions, stamp=stamp, with_masks=with_masks, timeout=timeout)

    async def wait_until_ready(self, timeout: float) -> None:
        """Returns when the node serves and has a fresh image with regions."""
        await asyncio.to_thread(self._client.wait_until_ready, timeout)

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

        work = asyncio.ensure_future(asyncio.to_thread(ask))
        try:
            while (part := await parts.get()) is not None:
                yield part
            yield await work
        finally:
            cancel.set()
            with suppress(Exception):  # was raised above already, or the caller has left the loop
                await asyncio.shield(work)
