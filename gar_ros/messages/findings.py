# SPDX-License-Identifier: Apache-2.0
"""Regions that were found by words, as the node replies them."""

from __future__ import annotations

from gar_ros.memory.findings import FoundRegion
from gar_ros.messages.headers import header_message
from gar_ros.messages.regions import geometry_message
from gar_ros.msg import FoundRegion as FoundRegionMessage


def found_message(found: FoundRegion) -> FoundRegionMessage:
    """A region with the header of its image; a plain float, or rclpy's C code would abort."""
    return FoundRegionMessage(
        header=header_message(found.frame_id, found.stamp_ns),
        id=found.region_id,
        probability=float(found.probability),
        other_id=found.other_id,
        out_of_view=found.out_of_view,
        geometry=geometry_message(found.extent),
    )
