# SPDX-License-Identifier: Apache-2.0
"""Label images whose numbers pack a class and an instance, as `class << 16 | instance`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.encodings import ENCODINGS, LABEL_ENCODINGS, quoted
from gar_ros.settings.inputs import InputSettings


@dataclass(frozen=True)
class LabelPacking:
    """What a packed number means: its lowest `bits` are the instance, the others the class.

    Instances are counted anew in each image, so their numbers are no ids. Instance 0 is background, of whatever class.
    names: of the classes from 0 on; an empty one, and one beyond the last: none.
    """

    bits: int = 16
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: InputSettings) -> LabelPacking | None:
        """None where label images hold the instance alone."""
        if inputs.label_packing == "none":
            return None
        return cls(inputs.instance_bits, inputs.class_names if any(inputs.class_names) else ())

    def check(self, encoding: str) -> None:
        """Raises GarError INVALID_REQUEST for an encoding whose pixels have no room for a class."""
        wide = [one for one in LABEL_ENCODINGS if np.dtype(ENCODINGS[one].type).itemsize * 8 > self.bits]
        if encoding not in wide:
            message = (
                f"expected a label image with more than {self.bits} bits a pixel ({', '.join(wide)}), as parameters "
                f"input.label_packing and input.instance_bits say, got encoding {quoted(encoding)}"
            )
            raise GarError(ErrorCode.INVALID_REQUEST, message)

    def unsigned(self, values: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
        """The packed numbers (H, W) of pixels (H, W): the highest class bit is 32SC1's sign."""
        return values.view(np.dtype(f"u{values.itemsize}"))

    def is_instance(self, value: int) -> bool:
        """Whether a packed number stands for an instance."""
        return value % (1 << self.bits) != 0

    def label(self, value: int) -> str:
        """The class's name, or its number as text."""
        number = value >> self.bits
        return self._name(number) or str(number)

    def oddities(self, values: Iterable[int]) -> tuple[str, ...]:
        """What is odd about the packed numbers above 0 of an image, for people: a sentence for each reason."""
        odd, present = [], list(values)
        if present and not any(map(self.is_instance, present)):
            odd.append(
                f"expected instance numbers above 0 in the lowest {self.bits} bits of its pixels, got 0 in every pixel "
                f"(the first value above 0 is {present[0]}): see parameters input.label_packing and input.instance_bits"
            )
        classes = sorted({value >> self.bits for value in present if self.is_instance(value)})
        nameless = [one for one in classes if not self._name(one)]
        if nameless and self.names:
            odd.append(
                f"expected a name for every class in parameter input.class_names, which has {len(self.names)}, got "
                f"class {nameless[0]}: its number is its label"
            )
        return tuple(odd)

    def _name(self, number: int) -> str:
        return self.names[number] if number < len(self.names) else ""
