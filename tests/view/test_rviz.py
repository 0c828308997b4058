# SPDX-License-Identifier: Apache-2.0
"""The configuration that rviz2 opens with."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import yaml

from gar_ros.view.rviz_places import OPTICAL
from tests.rviz import CONFIG, Eye

FIXED = "<Fixed Frame>"


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load(CONFIG.read_text())


@pytest.fixture
def manager(config: dict[str, Any]) -> dict[str, Any]:
    return config["Visualization Manager"]


def display(manager: dict[str, Any], plugin: str) -> dict[str, Any]:
    (found,) = [item for item in manager["Displays"] if item["Class"] == f"rviz_default_plugins/{plugin}"]
    return found


@pytest.mark.parametrize(
    ("plugin", "topic"), [("Image", "overlay"), ("MarkerArray", "markers"), ("PointCloud2", "cloud")]
)
def test_topics_are_relative_so_that_rviz_can_be_given_a_robots_namespace(
    manager: dict[str, Any], plugin: str, topic: str
) -> None:
    assert display(manager, plugin)["Topic"]["Value"] == f"gar/{topic}"


def test_the_depth_cloud_shows_the_table_and_the_region_points_do_not_fight_with_it(manager: dict[str, Any]) -> None:
    cloud = display(manager, "DepthCloud")
    assert (cloud["Depth Map Topic"], cloud["Color Image Topic"]) == ("depth", "image_raw")
    shown = {item["Class"].partition("/")[2]: item["Enabled"] for item in manager["Displays"]}
    assert shown == {"Image": True, "DepthCloud": True, "MarkerArray": True, "PointCloud2": False, "Axes": True}
    assert all(item["Enabled"] == item["Value"] for item in manager["Displays"])


def test_another_cameras_frame_is_given_on_the_command_line_alone(manager: dict[str, Any]) -> None:
    assert manager["Global Options"]["Fixed Frame"] == "camera_optical_frame"
    assert display(manager, "Axes")["Reference Frame"] == FIXED
    assert manager["Views"]["Current"]["Target Frame"] == FIXED
    assert CONFIG.read_text().count("camera_optical_frame") == 1


def test_a_saved_view_looks_down_on_a_frame_with_z_up(manager: dict[str, Any]) -> None:
    (view,) = manager["Views"]["Saved"]
    assert view["Target Frame"] == FIXED
    assert view["Pitch"] > 0.5


def test_labels_are_kept_apart_in_the_view_that_is_shipped(manager: dict[str, Any]) -> None:
    view, eye = manager["Views"]["Current"], Eye.shipped()
    assert (view["Distance"], view["Pitch"], view["Yaw"]) == (0.6, -1.2, 4.71)
    assert list(view["Focal Point"].values()) == [0, 0, 0.46]
    reckoned = OPTICAL.views[0]
    assert reckoned.eye == pytest.approx(eye.position)
    assert reckoned.axes == pytest.approx(np.stack([eye.right, eye.up, eye.forward]))


def test_the_axes_are_small(manager: dict[str, Any]) -> None:
    axes = display(manager, "Axes")
    assert (axes["Length"], axes["Radius"]) == (0.05, 0.003)


def test_the_tools_are_those_of_a_viewer(manager: dict[str, Any]) -> None:
    tools = [tool["Class"].partition("/")[2] for tool in manager["Tools"]]
    assert tools == ["MoveCamera", "FocusCamera", "Select", "Measure"]


def test_the_overlay_is_the_larger_of_two_panels(config: dict[str, Any]) -> None:
    assert [panel["Class"] for panel in config["Panels"]] == ["rviz_common/Displays"]
    heights = docks(bytes.fromhex(str(config["Window Geometry"]["QMainWindow State"])), config)
    assert set(heights) == {"Regions and answers", "Displays"}
    assert heights["Regions and answers"] > 1.3 * heights["Displays"]


def docks(state: bytes, config: dict[str, Any]) -> dict[str, int]:
    """Height in pixels of each dock in a saved state of Qt's main window: after its name (UTF-16) come flags, and
    position and length along the column, each as four bytes."""
    names = ["Displays", *(item["Name"] for item in config["Visualization Manager"]["Displays"])]
    found = {}
    for name in names:
        start = state.find(name.encode("utf-16-be"))
        if start >= 0:
            found[name] = struct.unpack_from(">BiI", state, start + 2 * len(name))[2]
    return found
