# SPDX-License-Identifier: Apache-2.0
"""Declares the settings as ROS parameters and reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter

from gar_ros.errors import ErrorCode, GarError
from gar_ros.rclpy_compat import ParameterCallbacks, given_parameters
from gar_ros.settings import PARAMETERS, Settings, nearest, refusal
from gar_ros.settings.declare import ANY_TIME, AT_START

QOS_OVERRIDES = "qos_overrides."


class Parameters:
    """The node's declared parameters. A refused override doesn't stop the node: reading it then says what was wrong."""

    def __init__(self, node: ParameterCallbacks) -> None:
        self._node = node
        self._refused: dict[str, str] = {}
        self.locked = False
        """True while the node is configured: only what may change at any time does."""
        node.add_on_set_parameters_callback(self._before_set)
        for name in PARAMETERS:
            self._declare(name)
        node.add_post_set_parameters_callback(self._after_set)
        self.unknown: dict[str, str] = {}
        """The nearest name that exists, by the name of each parameter that was given but doesn't."""
        self._warn(PARAMETERS, of_qos=False)

    def warn_of_qos(self) -> None:
        """Names every QoS override of a topic or policy that there isn't, once; for a node that has all its topics."""
        declared = list(self._node.get_parameters_by_prefix(QOS_OVERRIDES.removesuffix(".")))
        self._warn([QOS_OVERRIDES + name for name in declared], of_qos=True)

    def _warn(self, known: Iterable[str], of_qos: bool) -> None:
        """Of names given in a params file or on the command line that nobody declared; `known` are those there are."""
        # ROS declares its own parameters before.
        given = [name for name in given_parameters(self._node) if name.startswith(QOS_OVERRIDES) == of_qos]
        for name in given:
            if not self._node.has_parameter(name) and name not in self.unknown:
                self.unknown[name] = nearest(name, known)
                self._node.get_logger().warning(
                    f"parameter '{name}' does not exist and has no effect; the nearest name is '{self.unknown[name]}'"
                )

    def health(self) -> dict[str, str]:
        """What diagnostics tell of it."""
        return {
            f"parameter '{name}'": f"does not exist and has no effect; the nearest name is '{known}'"
            for name, known in self.unknown.items()
        }

    def read(self) -> Settings:
        """Current values, `~` of paths expanded.

        Raises GarError INVALID_REQUEST when an override was refused and not corrected since, or a `~` has no home.
        """
        if self._refused:
            raise GarError(ErrorCode.INVALID_REQUEST, "; ".join(self._refused.values()))
        return Settings.of({name: self._node.get_parameter(name).value for name in PARAMETERS})

    def _declare(self, name: str) -> None:
        descriptor, default = _descriptor(name), PARAMETERS[name].default
        default = list(default) if isinstance(default, tuple) else default
        given = given_parameters(self._node).get(name)
        # A params file's `[]` has no type, so it is no value to ROS.
        is_empty = given is not None and given.type_ is Parameter.Type.NOT_SET and PARAMETERS[name].metadata["names"]
        try:
            self._node.declare_parameter(name, default, descriptor, ignore_override=is_empty)
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


class TakesPresentValues(ParameterCallbacks):
    """Setting a parameter to the value that it has succeeds in every state of this node, read-only ones included.

    `ros2 param load` sets every parameter of a file, also those that don't change.
    """

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, but what is refused is tried without the values that are there already.

        The parameter services come here too. Raises ParameterNotDeclaredException.
        """
        result = super().set_parameters_atomically(parameter_list)
        if result.successful:
            return result
        changed = [parameter for parameter in parameter_list if not self._has(parameter)]
        if len(changed) == len(parameter_list):
            return result
        return super().set_parameters_atomically(changed) if changed else SetParametersResult(successful=True)

    def _has(self, parameter: Parameter) -> bool:
        """Whether a declared parameter has this value; 30 is 30.0, as in a YAML file."""
        if not self.has_parameter(parameter.name):
            return False
        present = self.get_parameter(parameter.name)
        numbers = {Parameter.Type.INTEGER, Parameter.Type.DOUBLE}
        same_type = present.type_ == parameter.type_ or {present.type_, parameter.type_} == numbers
        return same_type and _comparable(present.value) == _comparable(parameter.value)


def _comparable(value: Any) -> Any:
    """Lists of numbers are arrays in rclpy, whose elements compare as those of a list."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


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
