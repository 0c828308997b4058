# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: data walks one way, only one room knows ROS, and only what runs off the robot knows torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

VALUES = ("errors", "files", "frame", "json_reader", "region")
"""What every room speaks."""
INTERFACES = ("action", "msg", "srv")
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "frame": {"errors", "region"},
    "json_reader": set(),
    "pictures": {"errors", "files", "region"},
    "planning": set(),
    "progress": set(),
    "rclpy_compat": set(),
    "region": {"errors"},
    "engine": {*VALUES},
    "doctor": {"engine", "errors"},
    "settings": {"engine", "errors"},
    "geometry": {*VALUES},
    "memory": {*VALUES, "engine", "geometry"},
    "view": {*VALUES, "engine"},
    "serving": {*VALUES, "engine", "geometry", "memory", "settings"},
    "messages": {*VALUES, "geometry", "memory", "msg", "settings", "view"},
    "sim": {"errors", "region"},
    "fleet": {"engine", "errors", "progress"},
    "gar_export": {"bench", "engine", "errors", "files", "json_reader", "progress", "region", "sim"},
    "client": {
        *("action", "errors", "msg", "srv"),
        *("client_arguments", "client_calls", "client_hearing", "client_options"),
    },
    "client_arguments": {"errors", "msg"},
    "client_asyncio": {"action", "client", "client_options", "client_waiting", "msg", "srv"},
    "client_calls": {"client_waiting", "errors", "rclpy_compat", "srv"},
    "client_hearing": {"action"},
    "client_options": {"msg"},
    "client_waiting": {"errors", "rclpy_compat"},
    "node": {
        *VALUES,
        *INTERFACES,
        "engine",
        "geometry",
        "memory",
        "messages",
        "rclpy_compat",
        "serving",
        "settings",
        "view",
    },
    "demo": {*VALUES, *INTERFACES, "client", "engine", "geometry", "messages", "planning", "sim", "view"},
    "bag": {*VALUES, "engine", "geometry", "memory", "messages", "msg", "settings", "view"},
    "bench": {
        *VALUES,
        "doctor",
        "engine",
        "fleet",
        "memory",
        "pictures",
        "progress",
        "serving",
        "settings",
        "sim",
        "view",
    },
    "mcp_server": {"client_asyncio", "errors", "messages", "msg", "srv"},
    "cli": {
        *VALUES,
        "bag",
        "bench",
        "doctor",
        "engine",
        "fleet",
        "gar_export",
        "mcp_server",
        "memory",
        "pictures",
        "progress",
        "sim",
        "view",
    },
}
OF_CLIENT = ("arguments", "asyncio", "calls", "hearing", "options", "waiting")
CLIENT = {"client", *(f"client_{part}" for part in OF_CLIENT)}
KNOW_ROS_TYPES = {*CLIENT, "bag", "demo", "mcp_server", "messages", "node", "rclpy_compat"}
KNOW_RCLPY = {*CLIENT, "demo", "mcp_server", "node", "rclpy_compat"}
"""Beside them `bag` imports rclpy.serialization, which needs no node."""
KNOW_TORCH = {"gar_export"}
ROS = {
    "rclpy",
    "cv_bridge",
    "message_filters",
    "sensor_msgs_py",
    "tf2_ros",
    "builtin_interfaces",
    "launch",
    "launch_ros",
}
MCP = {"mcp", "mcp_types", "pydantic"}
FLEET = {"fsspec", "pyarrow", "ray"}
TORCH = {"torch", "torchvision", "transformers", "timm", "onnx", "onnxscript", "safetensors"}


class Import(NamedTuple):
    """One import statement of one module."""

    file: str
    room: str
    module: str
    at_load: bool  # executed when the file is imported, not within a function

    @property
    def top(self) -> str:
        """The package that is imported."""
        return self.module.partition(".")[0]

    @property
    def imported_room(self) -> str:
        """The room that is imported, empty for other packages."""
        if self.top == "gar_export":
            return self.top
        return self.module.split(".")[1] if self.module.startswith("gar_ros.") else ""


def imports_of(checkout: Path) -> Iterator[Import]:
    """Every import of the package's sources; `from gar_ros import engine` counts as gar_ros.engine."""
    for package in (checkout / "gar_ros", checkout / "export/gar_export"):
        for file in sorted(package.rglob("*.py")):
            inside = file.relative_to(package).with_suffix("").parts[0]
            room = inside if package.name == "gar_ros" else package.name
            tree = ast.parse(file.read_text())
            lazy = {id(node) for function in ast.walk(tree) if is_function(function) for node in ast.walk(function)}
            for node in ast.walk(tree):
                for module in imported_modules(node):
                    yield Import(str(file.relative_to(checkout)), room, module, id(node) not in lazy)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide which room is meant"
        if node.module == "gar_ros":
            return [f"gar_ros.{name.name}" for name in node.names]
        return [node.module or ""]
    return []


@pytest.fixture(scope="module")
def imports(checkout: Path) -> list[Import]:
    found = list(imports_of(checkout))
    assert {used.room for used in found} >= {"engine", "gar_export", "node"}
    return found


def test_every_room_has_a_rule(checkout: Path) -> None:
    entries = [*(checkout / "gar_ros").glob("*.py"), *(checkout / "gar_ros").glob("*/__init__.py")]
    rooms = {(entry.parent if entry.parent != checkout / "gar_ros" else entry).stem for entry in entries}
    assert {*rooms, "gar_export"} - {"__init__"} == set(ROOMS)


def test_rooms_import_only_what_lies_before_them(imports: list[Import]) -> None:
    wrong = [
        used
        for used in imports
        if used.imported_room and used.imported_room not in {used.room, *ROOMS.get(used.room, ())}
    ]
    assert wrong == []


def test_only_the_ros_side_imports_ros(imports: list[Import]) -> None:
    ros = [used for used in imports if used.top in ROS or used.top.endswith("_msgs")]
    assert [used for used in ros if used.room not in KNOW_ROS_TYPES] == []
    assert any(used.top == "sensor_msgs" for used in ros)


def test_only_nodes_and_clients_import_rclpy(imports: list[Import]) -> None:
    rclpy = [used for used in imports if used.top == "rclpy"]
    allowed = {("bag", "rclpy.serialization")}
    assert [used for used in rclpy if used.room not in KNOW_RCLPY and (used.room, used.module) not in allowed] == []
    assert any(used.room == "node" for used in rclpy)


def test_only_export_imports_torch(imports: list[Import]) -> None:
    torch = [used for used in imports if used.top in TORCH]
    assert [used for used in torch if used.room not in KNOW_TORCH] == []
    assert any(used.top == "torch" for used in torch)


def test_only_the_mcp_server_imports_mcp(imports: list[Import]) -> None:
    """An extra that few install."""
    used = [used for used in imports if used.top in MCP]
    assert [use for use in used if use.room != "mcp_server"] == []
    assert {use.top for use in used} == MCP
    assert [use for use in imports if use.imported_room == "mcp_server" != use.room and use.at_load] == []


def test_what_a_fleet_needs_is_imported_only_when_asked(imports: list[Import]) -> None:
    """An extra, too: Ray in two modules that only work_through imports, the others in functions."""
    used = [used for used in imports if used.top in FLEET]
    assert {use.top for use in used} == FLEET
    with_ray = {"gar_ros/fleet/actor.py", "gar_ros/fleet/ray_pool.py"}
    assert {use.file for use in used if use.at_load} == with_ray
    modules = {"gar_ros.fleet.actor", "gar_ros.fleet.ray_pool"}
    importing = [use for use in imports if use.module in modules and use.at_load]
    assert {use.file for use in importing} <= with_ray


def test_export_is_imported_lazily(imports: list[Import]) -> None:
    used = [used for used in imports if used.imported_room == "gar_export" and used.room != "gar_export"]
    assert [use for use in used if use.at_load] == []


def test_the_node_runs_where_torch_is_absent(checkout: Path) -> None:
    absent = sorted(TORCH | MCP | FLEET | {"mujoco", "pycocotools", "pytest"})
    program = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"
        "import gar_ros.node.gar_node, gar_ros.cli.main, gar_ros.client\n"
        "print(gar_ros.node.gar_node.__file__)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(checkout / "gar_ros/node/gar_node.py")
