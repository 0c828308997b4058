"""Declares the settings as ROS parameters and reads them."""

from __future__ import annotations

from collections.abc import Sequence

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from gar_ros.errors import ErrorCode, GarError
from gar_ros.settings import ANY_TIME, AT_START, PARAMETERS, Settings, refusal


class Parameters:
    """The node's declared parameters. A refused override doesn't stop the node: reading it then says what was wrong."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._refused: dict[str, str] = {}
        self.locked = False
        """True while the node is configured: only what may change at any time does."""
        node.add_on_set_parameters_callback(self._before_set)
        for name in PARAMETERS:
            self._declare(name)
        node.add_post_set_parameters_callback(self._after_set)

    def read(self) -> Settings:
        """Current values. Raises GarError INVALID_REQUEST when an override was refused and not corrected since."""
        if self._refused:
            raise GarError(ErrorCode.INVALID_REQUEST, "; ".join(self._refused.values()))
        return Settings.of({name: self._node.get_parameter(name).value for name in PARAMETERS})

    def _declare(self, name: str) -> None:
        descriptor, default = _descriptor(name), PARAMETERS[name].default
        default = list(default) if isinstance(default, tuple) else default
        try:
            self._node.declare_parameter(name, default, descriptor)
        except ParameterException as error:
            self._refused[name] = str(error)
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)

    def _before_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name not in PARAMETERS:
                continue
            reason = refusal(parameter.name, parameter.value)
            if self.locked and PARAMETERS[parameter.name].metadata["changes"] != ANY_TIME:
                reason = f"{parameter.name} can only change while the node is unconfigured; clean up first"
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _after_set(self, parameters: Sequence[Parameter]) -> None:
        for parameter in parameters:
            self._refused.pop(parameter.name, None)


def _descriptor(name: str) -> ParameterDescriptor:
    parameter = PARAMETERS[name]
    metadata = parameter.metadata
    unit = f" [{metadata['unit']}]" if metadata["unit"] else ""
    descriptor = ParameterDescriptor(
        description=metadata["meaning"] + unit,
        additional_constraints=", ".join(metadata["choices"]),
        read_only=metadata["changes"] == AT_START,
        dynamic_typing=isinstance(parameter.default, float),  # so that `30` is taken for 30.0
    )
    if metadata["limits"]:
        low, high = metadata["limits"]
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return descriptor
