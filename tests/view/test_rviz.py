# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

RVIZ = Path(__file__).parents[2] / "rviz" / "gar.rviz"


@pytest.fixture
def manager() -> dict[str, Any]:
    return yaml.safe_load(RVIZ.read_text())["Visualization Manager"]


def display(manager: dict[str, Any], plugin: str) -> dict[str, Any]:
    (found,) = [item for item in manager["Displays"] if item["Class"] == f"rviz_default_plugins/{plugin}"]
    return found


def test_the_overlay_is_shown(manager: dict[str, Any]) -> None:
    image = display(manager, "Image")
    assert image["Enabled"] and image["Topic"]["Value"] == "/gar/overlay"


def test_the_depth_cloud_is_ready_to_be_switched_on(manager: dict[str, Any]) -> None:
    cloud = display(manager, "DepthCloud")
    assert not cloud["Enabled"]
    assert (cloud["Depth Map Topic"], cloud["Color Image Topic"]) == ("/depth", "/image_raw")


@pytest.mark.parametrize(("plugin", "topic"), [("MarkerArray", "/gar/markers"), ("PointCloud2", "/gar/cloud")])
def test_places_in_space_are_shown(manager: dict[str, Any], plugin: str, topic: str) -> None:
    shown = display(manager, plugin)
    assert shown["Enabled"] and shown["Topic"]["Value"] == topic


def test_the_fixed_frame_is_the_cameras(manager: dict[str, Any]) -> None:
    assert manager["Global Options"]["Fixed Frame"] == "camera_optical_frame"
