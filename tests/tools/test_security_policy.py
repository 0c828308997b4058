# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy that is shipped, and the one made for a robot's names."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tools.security_policy import policy


def rules(text: str, enclave: str) -> dict[tuple[str, str], list[str]]:
    """(kind, way) -> names that an enclave allows."""
    profile = ET.fromstring(text).find(f".//enclave[@path='{enclave}']//profile")  # noqa: S314 our own text
    assert profile is not None
    return {(block.tag, next(iter(block.attrib))): [str(item.text) for item in block] for block in profile}


def test_the_shipped_policy_is_the_code_s(checkout: Path) -> None:
    assert (checkout / "security/policy.xml").read_text() == policy()


def test_a_planner_asks_and_nothing_else() -> None:
    allowed = rules(policy(), "/planner")
    assert allowed["services", "request"] == [
        "gar/query_regions", "gar/describe_regions", "gar/list_regions", "gar/get_scene_graph",
        "gar/find_regions",
    ]  # fmt: skip
    assert allowed["actions", "call"] == ["gar/ask_regions"]
    assert allowed["topics", "publish"] == ["/rosout", "/parameter_events"]


def test_only_an_operator_changes_the_node() -> None:
    for enclave in ("/planner", "/viewer"):
        requested = rules(policy(), enclave).get(("services", "request"), [])
        assert not {"gar/change_state", "gar/set_parameters", "gar/set_parameters_atomically"} & set(requested)
    assert {"gar/change_state", "gar/set_parameters"} <= set(rules(policy(), "/operator")["services", "request"])


def test_no_rule_is_a_wildcard() -> None:
    text = policy()
    assert "*" not in text
    assert "?" not in text.removeprefix('<?xml version="1.0" encoding="UTF-8"?>')


def test_remapped_names_and_a_namespace() -> None:
    text = policy("/robot1", {"image": "/camera/image_raw"})
    subscribed = rules(text, "/gar")["topics", "subscribe"]
    assert "/camera/image_raw" in subscribed
    assert "/camera/image_raw/compressed" in subscribed
    assert "image" not in subscribed
    assert {profile.get("ns") for profile in ET.fromstring(text).iter("profile")} == {"/robot1"}  # noqa: S314


def test_a_remap_of_a_topic_that_the_node_has_not(checkout: Path) -> None:
    command = (sys.executable, "-m", "tools.security_policy", "--remap", "picture:=/camera/image_raw")
    refused = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "picture:=/camera/image_raw" in refused.stderr
