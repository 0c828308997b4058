# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `gar` and its executable."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from gar_ros.errors import LEAVING, ErrorCode, GarError, GpuLostError, reason_of
from gar_ros.node import gpu_loss
from gar_ros.node.api.actions import Actions
from gar_ros.node.api.gate import Gate, not_active
from gar_ros.node.api.services import Services
from gar_ros.node.api.watches import Watches
from gar_ros.node.components import Activity, Components
from gar_ros.node.endpoints import NODE_NAME, Camera
from gar_ros.node.executor import Executor
from gar_ros.node.gpu_loss import GpuLoss
from gar_ros.node.guard import GuardedNode
from gar_ros.node.log import RosLogHandler
from gar_ros.node.log_folder import ensure_log_folder
from gar_ros.node.memory import give_back, keep_small
from gar_ros.node.namesakes import NamesakeWatch
from gar_ros.node.outputs.diagnostics import CameraHealth, Diagnostics, Health
from gar_ros.node.parameters import Parameters, TakesPresentValues
from gar_ros.rclpy_compat import RCLError, change_state_service, state_label, steady_clock
from gar_ros.serving.statistics import RequestStatistics

SWITCH_SECONDS = 0.001
"""After so long a thread lets others of the process run that want to. With Python's 5 ms, and eight planners that ask,
image callbacks took 30 ms at the 99th percentile; with this they take 11 ms (`make soak`, two cores)."""
LAST_WORDS_SECONDS = 5.0
"""How long the process waits at its end for clients to fetch the results of their goals."""


class GarNode(TakesPresentValues, GuardedNode, LifecycleNode):
    """configure loads the model, activate serves, deactivate stops and keeps, cleanup frees.

    Three lifetimes, each one stack: the node's own, what configure makes, what activate makes. A transition that fails
    unwinds what it has made; which of them there are is the lifecycle's state and nothing else.
    """

    def __init__(self) -> None:
        super().__init__(NODE_NAME)
        self._lifetime, self._configured, self._active = ExitStack(), ExitStack(), ExitStack()
        self._components: Components | None = None
        self._activity: Activity | None = None
        self._failure = ""
        self._notices_given: set[str] = set()
        self._activating = threading.Lock()
        self._leaving = False
        self.gpu_loss = GpuLoss()
        self._declared = Parameters(self)
        statistics = RequestStatistics()
        self._namesakes = NamesakeWatch(self, self._lifetime)
        self.cameras = tuple(map(Camera, self.get_parameter("cameras").value))
        self._gates = {
            camera: Gate(statistics, partial(self._trouble, camera), self.get_logger(), self._namesakes.trouble)
            for camera in self.cameras
        }
        self._actions = [
            kind(self, gate, self._lifetime, camera)
            for camera, gate in self._gates.items()
            for kind in (Actions, Watches)
        ]
        for camera, gate in self._gates.items():
            Services(self, gate, self._lifetime, camera)
        self._refuse_impossible_transitions()
        self.guard_own_services()
        rate = float(self.get_parameter("diagnostics.rate").value)
        self._diagnostics = Diagnostics(self, rate, statistics, self.health, self._lifetime)
        self._diagnostics.start(self._lifetime)
        if self.get_parameter("autostart").value:
            # By the executor, so that requests hear NOT_ACTIVE while the model loads.
            self._autostart = self.create_timer(0.0, self._start, clock=steady_clock())

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model as the parameters say."""
        return self._attempt("configure", self._configure, TransitionCallbackReturn.FAILURE)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and serves."""
        return self._attempt("activate", self._activate, TransitionCallbackReturn.FAILURE)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops serving and subscribing; requests that wait are answered CANCELLED; model and memory stay."""
        return self._attempt("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees model and memory."""
        return self._attempt("clean up", self._free)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        return self._attempt("shut down", self._free)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured; the diagnostics still say what went wrong."""
        failure = self._failure
        outcome = self._attempt("recover", self._free)
        self._failure = self._failure or failure
        return outcome

    def health(self) -> Health:
        """What the diagnostics tell."""
        components = self._components
        values = components.health() if components is not None else {}
        values |= self._declared.health()
        state = state_label(self)
        namesake = self._namesakes.trouble()
        failing = self.doors.failing() | ({"this node's name": namesake} if namesake else {})
        cameras = tuple(map(self._health_of, self.cameras))
        return Health(state, self._failure, values, cameras, failing)

    def leave(self) -> None:
        """Takes no more requests, goals and transitions; answers those that wait with CANCELLED, at once."""
        with self._activating:
            self._leaving = True
        for actions in self._actions:
            actions.refuse_goals()
        self._refuse(not_active("it is shutting down"))
        if self._components is not None:
            self._components.cancel()

    @property
    def owes_results(self) -> bool:
        """Whether a goal that was accepted hasn't been told its result yet."""
        return any(actions.owes_results for actions in self._actions)

    def destroy_node(self) -> None:
        """Ends everything, in whatever state the node is."""
        with suppress(RCLError):  # raised where it is shut down already
            self.trigger_shutdown()
        self._free()
        self._lifetime.close()
        super().destroy_node()

    def _refuse_impossible_transitions(self) -> None:
        """rclpy (7.1) raises for a transition that isn't possible in this state, and nobody would get a reply again."""
        service = change_state_service(self)
        change_state = service.callback

        def answer(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except RCLError as error:
                self.get_logger().warning(f"refused a lifecycle transition: {error}")
                response.success = False
                return response

        service.callback = answer

    def _start(self) -> None:
        self._autostart.cancel()
        try:
            if self.trigger_configure() is TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()
        except RCLError as error:  # somebody else was faster
            self.get_logger().warning(f"autostart: {error}")

    def _attempt(
        self,
        name: str,
        step: Callable[[], None],
        refused: TransitionCallbackReturn = TransitionCallbackReturn.ERROR,
    ) -> TransitionCallbackReturn:
        """rclpy would swallow an exception of a transition: says what went wrong, to the log and to later requests.

        refused: what a GarError means: FAILURE goes back to the state before, where `step` leaves everything as it was.
        """
        self._failure = ""
        try:
            step()
        except GarError as error:
            self._failure = f"can't {name}: {error.message}"
            self.get_logger().error(self._failure)
            # A planner may wait for an inactive node, but not for a model that can't be used.
            code = error.code if error.code is ErrorCode.BAD_MODEL else ErrorCode.NOT_ACTIVE
            self._refuse(GarError(code, f"the node couldn't {name}: {error.message}"))
            return refused
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 a defect; the state machine goes to its error state
            reason = reason_of(error)
            self._failure = f"can't {name}: {reason}"
            self.get_logger().error(f"can't {name}: {traceback.format_exc()}")
            self._refuse(not_active(f"it couldn't {name}: {reason}"))
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(f"{name}: done")
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._refuse_while_leaving()
        give_back()  # what callbacks still held at the end of the last cleanup
        with ExitStack() as made:
            self._declared.locked = True
            made.callback(self._unlock)
            components = Components(self, self._declared.read, self.cameras, made, self._lose_gpu)
            self._refuse(not_active("it was not activated yet"))
            self._give_notice(components.notice)
            self._components, self._configured = components, made.pop_all()

    def _give_notice(self, notice: str) -> None:
        """Warns once of what users of a model must know, however often it is loaded."""
        if notice and notice not in self._notices_given:
            self._notices_given.add(notice)
            self.get_logger().warning(notice)

    def _activate(self) -> None:
        components = self._components
        if components is None:
            raise GarError(ErrorCode.NOT_ACTIVE, "the node is not configured")
        with self._activating, ExitStack() as made:
            self._refuse_while_leaving()
            activity = Activity(self, components, self._gates, made)
            self._declared.warn_of_qos()
            self._activity, self._active = activity, made.pop_all()

    def _lose_gpu(self, error: GpuLostError) -> None:
        """Called in the model's thread, before those who wait are answered with `error`."""
        self._failure = gpu_loss.describe(error)
        self.get_logger().fatal(self._failure)
        self._refuse(not_active("the GPU is lost, and the process is about to end"))
        self._diagnostics.look_now()
        self.gpu_loss.note(self._components)

    def _refuse_while_leaving(self) -> None:
        if self._leaving:
            raise GarError(ErrorCode.CANCELLED, "the node is shutting down")

    def _deactivate(self) -> None:
        self._activity = None
        self._active.close()
        self.doors.forget()

    def _free(self) -> None:
        self._deactivate()
        had_model, self._components = self._components is not None, None
        self._configured.close()
        if had_model:
            give_back()

    def _unlock(self) -> None:
        self._declared.locked = False

    def _refuse(self, refusal: GarError) -> None:
        """Answers every request with `refusal` from now on."""
        for gate in self._gates.values():
            gate.close(refusal)

    def _trouble(self, camera: Camera) -> str:
        activity = self._activity
        return activity.cameras[camera].trouble() if activity is not None else ""

    def _health_of(self, camera: Camera) -> CameraHealth:
        components, activity = self._components, self._activity
        values = components.cameras[camera].health() if components is not None else {}
        if activity is not None:
            values |= activity.cameras[camera].health()
        return CameraHealth(camera.name, self._trouble(camera), values)


def main() -> int:
    """Runs the node until SIGINT, SIGTERM or the loss of the GPU; answers what waits before it leaves."""
    keep_small()
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    log_trouble = ensure_log_folder()
    # With rclpy's own handlers the context would be gone before the last replies are sent.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = GarNode()
    if log_trouble:
        node.get_logger().warning(log_trouble)
    logging.getLogger("gar_ros").addHandler(RosLogHandler(node.get_logger()))
    logging.getLogger("gar_ros").setLevel(logging.DEBUG)  # the ROS logger's level decides what is shown
    queue_size = int(node.get_parameter("request.queue_size").value)
    executor = Executor(queue_size, partial(node.doors.failed, "executor"), len(node.cameras))
    executor.add_node(node)
    failed = threading.Event()

    def spin() -> None:
        try:
            executor.spin()
        except BaseException:  # noqa: BLE001 of the executor itself; what waits is answered all the same
            node.get_logger().fatal(traceback.format_exc())
            failed.set()
        finally:
            stop.set()

    spinner = threading.Thread(target=spin, name="gar_executor")
    spinner.start()
    # In turns: an endless wait could sleep through a signal that another thread took.
    while not stop.wait(0.2) and not node.gpu_loss:
        pass
    node.leave()
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    while (node.owes_results or executor.has_tasks) and spinner.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    executor.shutdown()
    spinner.join()
    node.destroy_node()
    rclpy.shutdown()
    node.gpu_loss.end_process()
    return int(failed.is_set())


if __name__ == "__main__":
    sys.exit(main())
