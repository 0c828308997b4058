# SPDX-License-Identifier: Apache-2.0
"""Publishers whose messages never arrive, since they are of another type than the subscription."""

from __future__ import annotations

from collections.abc import Iterable

from gar_ros.node.endpoints import IMAGE, REGIONS, Endpoint
from gar_ros.rclpy_compat import TopicEndpointInfo, type_hash
from gar_ros.settings.inputs import REGIONS_TYPES


def why_mistyped(
    endpoint: Endpoint, topic: str, publishers: Iterable[TopicEndpointInfo], own: Iterable[TopicEndpointInfo]
) -> str:
    """What is wrong with the types of the publishers of a topic, with what to do; empty when nothing is.

    topic: the resolved name. own: what is known of the subscriptions to it.
    """
    publishers = list(publishers)
    others = sorted({one.topic_type for one in publishers} - {endpoint.type_name})
    if others:
        return (
            f"{topic} is published as {' and '.join(others)}, but subscribed to as {endpoint.type_name}: "
            f"{_advice(endpoint, others)}"
        )
    hashes = {type_hash(one) for one in own if one.topic_type == endpoint.type_name}
    strange = [one for one in publishers if type_hash(one) and type_hash(one) not in hashes]
    if hashes and strange:
        return (
            f"{topic} is published by node '{strange[0].node_name}' with another definition of {endpoint.type_name} "
            "than this node's: build or install the same version of its package on both sides"
        )
    return ""


def _advice(endpoint: Endpoint, others: Iterable[str]) -> str:
    name = endpoint.name.removesuffix("/compressed")
    kind = endpoint.name.rpartition("/")[2]  # what comes before is a camera's name
    known = [one for one in REGIONS_TYPES if one.replace("/", "/msg/") in others]
    if kind == REGIONS.name and known:
        return f"set parameter 'input.regions_type' to '{known[0]}'"
    if kind == IMAGE.name and "sensor_msgs/msg/CompressedImage" in others:
        return (
            f"set parameter 'input.image_transport' to 'compressed', and remap '{name}' to the topic's name without "
            "'/compressed'"
        )
    return f"remap '{name}' to a topic of that type, or correct the publisher"
