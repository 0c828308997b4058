# SPDX-License-Identifier: Apache-2.0
"""`gar selftest`: compares what runs a model here with the CPU, stage by stage, and measures it."""

from gar_ros.bench.selftest.command import add_arguments, run

__all__ = ["add_arguments", "run"]
