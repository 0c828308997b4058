"""The client for programs that run an asyncio loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from gar_ros.client import RegionClient
from gar_ros.msg import Answer, SceneGraph
from gar_ros.srv import ListRegions


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

    async def query(self, question: str, region_ids: Sequence[str] = (), **limits: Any) -> Answer:
        """One question about one or several regions."""
        return await asyncio.to_thread(self._client.query, question, region_ids, **limits)

    async def describe(self, region_ids: Sequence[str] = (), **limits: Any) -> list[Answer]:
        """One description for each region."""
        return await asyncio.to_thread(self._client.describe, region_ids, **limits)

    async def scene_graph(
        self, region_ids: Sequence[str] = (), predicates: Sequence[str] = (), **limits: Any
    ) -> SceneGraph:
        """The relations that hold between regions."""
        return await asyncio.to_thread(self._client.scene_graph, region_ids, predicates, **limits)

    async def list_regions(self, **limits: Any) -> ListRegions.Response:
        """The regions that can be asked about."""
        return await asyncio.to_thread(self._client.list_regions, **limits)

    async def wait_until_ready(self, timeout: float) -> None:
        """Returns when the node serves and has a fresh image with regions."""
        await asyncio.to_thread(self._client.wait_until_ready, timeout)

    async def stream(self, question: str, region_ids: Sequence[str] = (), **limits: Any) -> AsyncIterator[str | Answer]:
        """What is added to the text while it is written, then the Answer. Leaving the loop early cancels the work."""
        loop, cancel = asyncio.get_running_loop(), threading.Event()
        parts: asyncio.Queue[str | Answer | None] = asyncio.Queue()

        def hear(added: str) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, added)

        def ask() -> Answer:
            try:
                return self._client.stream(question, region_ids, hear, cancel, **limits)
            finally:
                loop.call_soon_threadsafe(parts.put_nowait, None)

        work = asyncio.ensure_future(asyncio.to_thread(ask))
        try:
            while (part := await parts.get()) is not None:
                yield part
            yield await work
        finally:
            cancel.set()
            with suppress(Exception):  # told already, or nobody wants to know any more
                await asyncio.shield(work)
