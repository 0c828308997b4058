# SPDX-License-Identifier: Apache-2.0
"""Prints the SROS2 policy of the node and of those who use it: `python -m tools.security_policy > security/policy.xml`

It allows what the node has and nothing else. `--namespace`, `--remap FROM:=TO` and `--cameras front,wrist` make it fit
a robot's launch file;
docs/security.md says how it becomes a keystore. tests/test_security_policy.py compares security/policy.xml with this,
tests/system/test_security_policy.py with the topics and services of a running node.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gar_ros.node.endpoints import (
    ACTIONS,
    ANSWERS,
    DEPTH,
    DIAGNOSTICS,
    GRAPH,
    IMAGE,
    NODE_NAME,
    PUBLICATIONS,
    SERVICES,
    SUBSCRIPTIONS,
    TRACKS,
    Camera,
    Endpoint,
)

COMMENT = " Made by `python -m tools.security_policy`; docs/security.md explains its enclaves. "

PARAMETERS = (
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters", "set_parameters",
    "set_parameters_atomically",
)  # fmt: skip
LIFECYCLE = ("change_state", "get_available_states", "get_available_transitions", "get_state", "get_transition_graph")
TYPE_DESCRIPTION = "get_type_description"
WHERE_INSTALLED = ("/tf", "/tf_static", "bond")
"""Topics that the node has only where tf2_ros and bondpy are installed and parameters ask for them."""
TRANSPORTS = {f"{IMAGE.name}/compressed": IMAGE.name, f"{DEPTH.name}/compressedDepth": DEPTH.name}
"""image_transport's topics with their base topics, whose remapping they follow."""
WHEN_SIMULATED = "/clock"
"""A topic that the node has only with use_sim_time, as it has those of TRANSPORTS only where it is told to."""


@dataclass(frozen=True)
class Profile:
    """What one node may do. Names are absolute, relative to the namespace, or begin with ~/ for the node's own."""

    node: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    execute: tuple[str, ...] = ()
    call: tuple[str, ...] = ()


def profiles(cameras: Sequence[Camera] = (Camera(),)) -> dict[str, Profile]:
    """The least that each role needs, by the path of its enclave.

    gar: the node. planner: asks. operator: drives the lifecycle and sets parameters. viewer: sees what rviz shows.
    """

    def own(*endpoints: Endpoint) -> tuple[str, ...]:
        return tuple(dict.fromkeys(camera.of(endpoint).name for camera in cameras for endpoint in endpoints))

    def of_gar(*endpoints: Endpoint) -> tuple[str, ...]:
        return tuple(name.replace("~", NODE_NAME) for name in own(*endpoints))

    shown = of_gar(*(endpoint for endpoint in PUBLICATIONS if endpoint is not DIAGNOSTICS))
    transports = [camera.of(IMAGE._replace(name=name)).name for camera in cameras for name in TRANSPORTS]
    return {
        "/gar": Profile(
            NODE_NAME,
            publish=("~/transition_event", *own(*PUBLICATIONS), "bond"),
            subscribe=(*own(*SUBSCRIPTIONS), WHEN_SIMULATED, *transports, *WHERE_INSTALLED),
            reply=(*own(*SERVICES), *_own(LIFECYCLE)),
            execute=own(*ACTIONS),
        ),
        "/planner": Profile(
            "planner",
            subscribe=of_gar(ANSWERS, GRAPH, TRACKS),
            request=of_gar(*SERVICES),
            call=of_gar(*ACTIONS),
        ),
        "/operator": Profile(
            "operator",
            subscribe=(DIAGNOSTICS.name, "gar/transition_event"),
            request=tuple(f"gar/{name}" for name in (*LIFECYCLE, *PARAMETERS, TYPE_DESCRIPTION)),
        ),
        "/viewer": Profile(
            "rviz",
            subscribe=(*own(IMAGE), *shown, DIAGNOSTICS.name, "/tf", "/tf_static"),
        ),
    }


def policy(
    namespace: str = "/", remaps: Mapping[str, str] | None = None, cameras: Sequence[Camera] = (Camera(),)
) -> str:
    """Text of the policy. namespace: of all four nodes. remaps: new name of a topic by its name in the code. cameras:
    that the node serves."""
    root = ET.Element("policy", version="0.2.0")
    root.append(ET.Comment(COMMENT))
    enclaves = ET.SubElement(root, "enclaves")
    for path, profile in profiles(cameras).items():
        enclave = ET.SubElement(enclaves, "enclave", path=path)
        element = ET.SubElement(ET.SubElement(enclave, "profiles"), "profile", ns=namespace, node=profile.node)
        own = _own((*PARAMETERS, TYPE_DESCRIPTION))
        for kind, item, way, names in (
            ("topics", "topic", "publish", ("/rosout", "/parameter_events", *profile.publish)),
            ("topics", "topic", "subscribe", profile.subscribe),
            ("services", "service", "reply", (*own, *profile.reply)),
            ("services", "service", "request", profile.request),
            ("actions", "action", "execute", profile.execute),
            ("actions", "action", "call", profile.call),
        ):
            if names:
                rules = ET.SubElement(element, kind, {way: "ALLOW"})
                for name in _renamed(names, remaps or {}):
                    ET.SubElement(rules, item).text = name
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _own(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"~/{name}" for name in names)


def _renamed(names: Iterable[str], remaps: Mapping[str, str]) -> list[str]:
    after = dict(remaps)
    for base, renamed in remaps.items():
        for topic, kind in TRANSPORTS.items():
            if base.rpartition("/")[2] == kind:
                after.setdefault(base + topic.removeprefix(kind), renamed + topic.removeprefix(kind))
    return list(dict.fromkeys(after.get(name, name) for name in names))


def main() -> int:
    """Prints the policy; says on stderr which topic of --remap the node doesn't have."""
    parser = argparse.ArgumentParser(prog="python -m tools.security_policy", description="SROS2 policy of gar_ros")
    parser.add_argument("--namespace", default="/", help="of the node and of those who use it (default: /)")
    parser.add_argument(
        "--remap", action="append", default=[], metavar="FROM:=TO", help="as in the launch file; may be repeated"
    )
    parser.add_argument("--cameras", default="", help="names of several cameras, as in the launch file: front,wrist")
    arguments = parser.parse_args()
    cameras = tuple(map(Camera, arguments.cameras.split(",")))
    remaps = dict(remap.split(":=", 1) for remap in arguments.remap if ":=" in remap)
    known = {camera.of(endpoint).name for camera in cameras for endpoint in (*SUBSCRIPTIONS, *PUBLICATIONS)}
    if wrong := [remap for remap in arguments.remap if ":=" not in remap or remap.split(":=")[0] not in known]:
        parser.error(f"expected FROM:=TO with FROM out of {', '.join(sorted(known))}; got {', '.join(wrong)}")
    sys.stdout.write(policy(arguments.namespace, remaps, cameras))
    return 0


if __name__ == "__main__":
    sys.exit(main())
