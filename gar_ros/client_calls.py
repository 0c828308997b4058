# SPDX-License-Identifier: Apache-2.0
"""Requests of a client that arrive and are replied to, also by a node that was restarted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action.client import ActionClient
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future

from gar_ros.client_waiting import LOOK_SECONDS, refuse_blocked_loop, waiting_of
from gar_ros.errors import ErrorCode, GarError
from gar_ros.rclpy_compat import ThreadSafeActionClient, count_servers, service_name
from gar_ros.srv import ListRegions

GRACE = 1.0
"""Seconds beyond the node's own timeout within which its reply must arrive."""

REPLIES_KEPT = QoSProfile(depth=1000)
"""Over DDS a client receives the replies to all clients; with ROS's depth of 10 a burst would push its own ones out."""

_DISCOVERY_SECONDS = 0.3
"""Between the discoveries of two services of one node, at most."""

_PROBE_SECONDS = 0.3
"""Before a probe is sent again for the first time; twice as long each time after."""

_SERVERS_SECONDS = 0.2
"""Between two looks at which nodes serve."""

Servers = frozenset[bytes]
"""Ids of the DDS writers of the replies to probes: a node that was restarted has another one."""

LostByRestart = Callable[[], GarError | None]
"""Why a request that a new node appeared for can't be sent again; None where it can."""


class Calls:
    """Sends requests to one gar node for one node of a planner. Thread-safe.

    DDS lists a node that was killed for up to 20 s and loses what is sent to it, and it drops replies to a client that
    a node has only just discovered. So nodes that didn't reply yet get a probe first, again and again: a request of
    `list_regions`, which changes nothing and is answered in every state. Its client is made last, and so is its service
    in the node: DDS tells endpoints in their order, thus whoever knows these knows the others.
    """

    def __init__(self, node: Node, gar: str) -> None:
        """gar: name of the gar node."""
        self._node, self._gar = node, gar
        self._waiting = waiting_of(node)
        self._replied: Servers | None = None
        """The nodes that served when a probe was answered."""

    def client(self, kind: Any, name: str, group: CallbackGroup) -> Client:
        """A client of one service."""
        return self._node.create_client(kind, f"{self._gar}/{name}", qos_profile=REPLIES_KEPT, callback_group=group)

    def action_client(self, kind: Any, name: str, group: CallbackGroup) -> ActionClient:
        """A client of an action."""
        return ThreadSafeActionClient(
            self._node,
            kind,
            f"{self._gar}/{name}",
            callback_group=group,
            goal_service_qos_profile=REPLIES_KEPT,
            result_service_qos_profile=REPLIES_KEPT,
            cancel_service_qos_profile=REPLIES_KEPT,
            feedback_sub_qos_profile=REPLIES_KEPT,
        )

    def probe(self, group: CallbackGroup) -> Client:
        """The client of `list_regions`; make it after all others."""
        self._list = self.client(ListRegions, "list_regions", group)
        self._list_name = service_name(self._node, self._list)
        self._replies = f"rr{self._list_name}Reply"
        return self._list

    def reply(self, client: Client, request: Any, timeout: float, lost_by_restart: LostByRestart) -> Any:
        """The reply to a request. timeout: seconds from its arrival to its reply. Raises GarError or RuntimeError."""
        name = service_name(self._node, client)
        with self._waiting.call():
            refuse_blocked_loop(self._waiting)
            servers = self._reach(client.service_is_ready, f"no service {name}", timeout)
            deadline = time.monotonic() + timeout + GRACE
            proof = self._waiting.prove_spun()
            future = client.call_async(request)
            try:
                while not self._waiting.until_done(future, deadline, _SERVERS_SECONDS):
                    self._raise_if_over(deadline, name, proof)
                    if new := self._begun_since(servers, lost_by_restart, name, deadline):
                        client.remove_pending_request(future)
                        servers, future = new, client.call_async(request)
            except BaseException:
                client.remove_pending_request(future)
                raise
            return future.result()

    def run_goal(
        self,
        client: ActionClient,
        name: str,
        goal: Any,
        on_feedback: Callable[[Any], None],
        look: Callable[[Callable[[], None]], None],
        lost_by_restart: LostByRestart,
        timeout: float,
    ) -> Any:
        """The result of a goal. name: of the action. look: called again and again, with what cancels the goal.

        Raises as `reply` does.
        """
        with self._waiting.call():
            refuse_blocked_loop(self._waiting)
            servers = self._reach(client.server_is_ready, f"no action {name}", timeout)
            deadline = time.monotonic() + timeout + GRACE
            proof = self._waiting.prove_spun()
            while True:
                attempt = _Attempt(client, goal, on_feedback)
                try:
                    begun = self._finish(attempt, name, servers, look, lost_by_restart, deadline, proof)
                except BaseException:
                    attempt.forget()
                    raise
                if begun is None:
                    return attempt.result()
                attempt.forget()
                servers = begun

    def _finish(
        self,
        attempt: _Attempt,
        name: str,
        servers: Servers,
        look: Callable[[Callable[[], None]], None],
        lost_by_restart: LostByRestart,
        deadline: float,
        proof: Future | None,
    ) -> Servers | None:
        """None when the attempt has its result, the nodes that serve when it must be made again."""
        next_look = time.monotonic() + _SERVERS_SECONDS
        while True:
            if attempt.proceed():
                return None
            if self._waiting.until_done(attempt.future, deadline, LOOK_SECONDS):
                continue
            look(attempt.cancel)
            self._raise_if_over(deadline, name, proof)
            if time.monotonic() > next_look:
                next_look = time.monotonic() + _SERVERS_SECONDS
                if new := self._begun_since(servers, lost_by_restart, name, deadline):
                    return new

    def _reach(self, is_ready: Callable[[], bool], missing: str, timeout: float) -> Servers:
        """The nodes that serve, at least one of which replies. Raises GarError NOT_ACTIVE (`missing`) or TIMED_OUT."""
        deadline = time.monotonic() + timeout
        if not self._wait_for(is_ready, timeout):
            raise GarError(ErrorCode.NOT_ACTIVE, f"{missing}: {self._others()}")
        servers = self._servers()
        if self._replied is not None and servers <= self._replied:
            return servers
        if not self._wait_for(self._list.service_is_ready, _DISCOVERY_SECONDS):
            return servers  # something that is no whole gar node
        return self._probe(self._list_name, deadline + GRACE)

    def _others(self) -> str:
        """What may be meant by a name that nobody serves: the nodes, and the cameras of nodes, that there are."""
        of_lists = f"{ListRegions.__module__.split('.')[0]}/srv/{ListRegions.__name__}"
        there = sorted(
            service.removesuffix("/list_regions")
            for service, kinds in self._node.get_service_names_and_types()
            if of_lists in kinds and count_servers(self._node, service)
        )
        own = self._list_name.removesuffix("/list_regions")
        if not there or own in there:
            return "is the gar node running?"
        return f"nobody is called {own}; there {'is' if len(there) == 1 else 'are'} {', '.join(there)}"

    def _probe(self, name: str, deadline: float) -> Servers:
        """The nodes that serve, after one of them replied. name: of what is waited for. Raises GarError TIMED_OUT."""
        probes: list[Future] = []
        proof, pause, again = self._waiting.prove_spun(), _PROBE_SECONDS, 0.0
        try:
            while True:
                if time.monotonic() > again:
                    servers = self._servers()
                    probes.append(self._list.call_async(ListRegions.Request()))
                    again, pause = time.monotonic() + pause, 2 * pause
                self._waiting.until_done(probes[-1], deadline)
                if any(probe.done() for probe in probes):
                    self._replied = servers
                    return servers
                self._raise_if_over(deadline, name, proof)
        finally:
            for probe in probes:
                self._list.remove_pending_request(probe)

    def _begun_since(
        self, servers: Servers, lost_by_restart: LostByRestart, name: str, deadline: float
    ) -> Servers | None:
        """The nodes that serve, if one of them began after these; it has replied to a probe. Raises what is lost."""
        if self._servers() <= servers:
            return None
        error = lost_by_restart()
        if error is not None:
            raise error
        return self._probe(name, deadline)

    def _servers(self) -> Servers:
        """Empty where the middleware doesn't name topics as DDS does."""
        publishers = self._node.get_publishers_info_by_topic(self._replies, no_mangle=True)
        return frozenset(bytes(one.endpoint_gid) for one in publishers)

    def _wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or not self._node.context.ok():
                return False
            time.sleep(0.02)
        return True

    def _raise_if_over(self, deadline: float, name: str, proof: Future | None) -> None:
        if time.monotonic() < deadline:
            return
        unspun = proof is not None and not proof.done()
        hint = "nothing has spun the executor that has this client's node; spin it, or remove the node from it"
        hint = f": {hint}" if unspun else ""
        raise GarError(ErrorCode.TIMED_OUT, f"no reply from {name} within the timeout and {GRACE:g} s{hint}")


class _Attempt:
    """One goal on its way: first its acceptance is waited for, then its result."""

    def __init__(self, client: ActionClient, goal: Any, on_feedback: Callable[[Any], None]) -> None:
        self.future = client.send_goal_async(goal, feedback_callback=on_feedback)
        self._handle: Any = None
        self._cancelled = False

    def proceed(self) -> bool:
        """Whether there is a result. Raises GarError NOT_ACTIVE for a goal that was not accepted."""
        if not self.future.done():
            return False
        if self._handle is not None:
            return True
        self._handle = self.future.result()
        if not self._handle.accepted:
            raise GarError(ErrorCode.NOT_ACTIVE, "the goal was not accepted: the gar node is shutting down")
        self.future = self._handle.get_result_async()
        return False

    def result(self) -> Any:
        """Raises GarError CANCELLED when the node doesn't know the goal."""
        response: Any = self.future.result()
        if response.status == GoalStatus.STATUS_UNKNOWN:
            raise GarError(ErrorCode.CANCELLED, "the gar node doesn't know the goal: it was restarted; ask again")
        return response.result

    def cancel(self) -> None:
        """Asks the node once to end the work; before the goal is accepted it does so later, when called again."""
        if self._handle is not None and not self._cancelled:
            self._cancelled = True
            self._handle.cancel_goal_async()

    def forget(self) -> None:
        """Waits for nothing any more."""
        if not self.future.done():
            self.future.cancel()
