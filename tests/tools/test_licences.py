# SPDX-License-Identifier: Apache-2.0
"""Whoever ships a robot with the node in it owes nobody its source code."""

from __future__ import annotations

from tools.licences import OPTIONAL, PERMISSIVE, licences, run_time_packages


def test_every_run_time_dependency_is_permissive() -> None:
    packages = run_time_packages()
    assert {"onnxruntime", "numpy", "tokenizers", "ros-rclpy", *OPTIONAL} <= set(packages)
    assert {"ros-fastrtps", "ros-fastdds"} & set(packages), "Jazzy's and Kilted's name of the middleware"
    assert {name: ids for name in packages if not (ids := licences(name)) <= PERMISSIVE} == {}


def test_a_package_that_is_not_permissive_would_be_found() -> None:
    assert not licences("docutils") <= PERMISSIVE  # one of its files, an editor's mode, is under the GPL
    assert licences("no-such-package") == {"none told"}


def test_what_is_a_licence_of_the_node_is_none_of_its_builders() -> None:
    assert not {"docutils", "cmake", "ros-ament-cmake-core"} & set(run_time_packages())
