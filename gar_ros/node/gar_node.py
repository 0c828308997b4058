"""The lifecycle node `gar` and its executable."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.api.actions import Actions
from gar_ros.node.api.services import Services
from gar_ros.node.components import Components
from gar_ros.node.endpoints import NODE_NAME
from gar_ros.node.executor import Executor
from gar_ros.node.inputs.depth import DepthInputs
from gar_ros.node.inputs.images_and_regions import Inputs
from gar_ros.node.inputs.subscriptions import every
from gar_ros.node.log import RosLogHandler
from gar_ros.node.outputs.diagnostics import Diagnostics, Health
from gar_ros.node.parameters import Parameters, TakesPresentValues
from gar_ros.serving.keyframer import CHECKS_PER_SECOND
from gar_ros.serving.statistics import RequestStatistics


class GarNode(TakesPresentValues, LifecycleNode):
    """configure loads the model, activate serves, deactivate stops and keeps, cleanup frees."""

    def __init__(self) -> None:
        super().__init__(NODE_NAME)
        self._declared = Parameters(self)
        self._statistics = RequestStatistics()
        self._replies = Services(self, self._statistics)
        self._goals = Actions(self, self._statistics)
        self._configured: Components | None = None
        self._inputs: Inputs | None = None
        self._depth: DepthInputs | None = None
        self._looking: Timer | None = None
        self._failure = ""
        self._refuse_impossible_transitions()
        rate = float(self.get_parameter("diagnostics.rate").value)
        self._diagnostics = Diagnostics(self, rate, self._statistics, self._health)
        if self.get_parameter("autostart").value:
            # By the executor, so that requests hear NOT_ACTIVE while the model loads.
            self._autostart = self.create_timer(0.0, self._start, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model as the parameters say."""
        return self._attempt("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes and serves."""
        return self._attempt("activate", self._activate)

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
        """Back to unconfigured."""
        return self._attempt("recover", self._free)

    def cancel(self) -> None:
        """Takes no more requests and answers those that wait with CANCELLED, at once."""
        self._stop_serving(_not_active("it was deactivated or shut down"))
        if self._configured is not None:
            self._configured.worker.pause(GarError(ErrorCode.CANCELLED, "the node was deactivated or shut down"))

    def _refuse_impossible_transitions(self) -> None:
        """rclpy (7.1) raises for a transition that isn't possible in this state, and nobody would get a reply again."""
        change_state = self._service_change_state.callback

        def answer(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return change_state(request, response)
            except rclpy_implementation.RCLError as error:
                self.get_logger().warning(f"refused a lifecycle transition: {error}")
                response.success = False
                return response

        self._service_change_state.callback = answer

    def _start(self) -> None:
        self._autostart.cancel()
        try:
            if self.trigger_configure() is TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()
        except rclpy_implementation.RCLError as error:  # somebody else was faster
            self.get_logger().warning(f"autostart: {error}")

    def _attempt(self, name: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        """rclpy would swallow an exception of a transition: says what went wrong, to the log and to later requests."""
        self._failure = ""
        try:
            step()
        except GarError as error:
            self._failure = f"can't {name}: {error.message}"
            self.get_logger().error(f"can't {name}: {error.message}")
            # A planner may wait for an inactive node, but not for a model that can't be used.
            code = error.code if error.code is ErrorCode.BAD_MODEL else ErrorCode.NOT_ACTIVE
            self._stop_serving(GarError(code, f"the node couldn't {name}: {error.message}"))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 a defect; the state machine goes to its error state
            self._failure = f"can't {name}: {error}"
            self.get_logger().error(f"can't {name}: {traceback.format_exc()}")
            self._stop_serving(_not_active(f"it couldn't {name}: {error}"))
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(f"{name}: done")
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._configured = Components(self, self._declared.read, self._why_no_input)
        self._declared.locked = True
        self._stop_serving(_not_active("it was not activated yet"))

    def _activate(self) -> None:
        configured = self._configured
        if configured is None:
            raise GarError(ErrorCode.NOT_ACTIVE, "the node is not configured")
        self._inputs = Inputs(self, configured.settings, configured.frames, configured.depth, configured.tracks)
        self._depth = DepthInputs(self, configured.settings, configured.depth)
        configured.worker.accept()
        configured.visual.start()
        if configured.keyframer is not None:
            self._looking = every(self, 1 / CHECKS_PER_SECOND, configured.keyframer.make_if_due)
        configured.graphs.start(configured.grapher)
        configured.track_topic.start()
        self._replies.serve(configured.server, configured.grapher, configured.tracks.tracks, configured.visual.answered)
        self._goals.serve(configured.server, configured.visual.answered)

    def _deactivate(self) -> None:
        self.cancel()
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._depth is not None:
            self._depth.close()
            self._depth = None
        if self._looking is not None:
            self.destroy_timer(self._looking)
            self._looking = None
        if self._configured is not None:
            self._configured.visual.stop()
            self._configured.graphs.stop()
            self._configured.track_topic.stop()

    def _free(self) -> None:
        self._deactivate()
        if self._configured is not None:
            self._configured.close()
            self._configured = None
        self._declared.locked = False

    def _stop_serving(self, refusal: GarError) -> None:
        self._replies.stop_serving(refusal)
        self._goals.stop_serving(refusal)

    def _health(self) -> Health:
        values: dict[str, str] = {}
        configured, inputs = self._configured, self._inputs
        if configured is not None:
            values |= configured.health()
        if inputs is not None:
            values |= {
                "images": str(inputs.images),
                "images without regions": str(max(inputs.images - inputs.pairs, 0)),
            }
        state = "active" if inputs is not None else "inactive" if configured is not None else "unconfigured"
        return Health(state, self._failure, self._why_no_input(), values)

    def _why_no_input(self) -> str:
        inputs = self._inputs
        return inputs.trouble() if inputs is not None else ""


def _not_active(why: str) -> GarError:
    return GarError(ErrorCode.NOT_ACTIVE, f"the node is not active: {why}")


def main() -> int:
    """Runs the node until SIGINT or SIGTERM; answers what waits before it leaves."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # With rclpy's own handlers the context would be gone before the last replies are sent.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = GarNode()
    logging.getLogger("gar_ros").addHandler(RosLogHandler(node.get_logger()))
    logging.getLogger("gar_ros").setLevel(logging.DEBUG)  # the ROS logger's level decides what is shown
    executor = Executor(int(node.get_parameter("request.queue_size").value))
    executor.add_node(node)
    failed = threading.Event()

    def spin() -> None:
        try:
            executor.spin()
        except Exception:  # noqa: BLE001 shutting down under its wait set makes rclpy raise
            if not stop.is_set():
                node.get_logger().fatal(traceback.format_exc())
                failed.set()
        stop.set()

    spinner = threading.Thread(target=spin, name="gar_executor")
    spinner.start()
    while not stop.wait(0.2):  # in turns: an endless wait could sleep through a signal that another thread took
        pass
    node.cancel()
    executor.shutdown()
    spinner.join()
    node.trigger_shutdown()
    node.destroy_node()
    rclpy.shutdown()
    return int(failed.is_set())


if __name__ == "__main__":
    sys.exit(main())
