# SPDX-License-Identifier: Apache-2.0
"""`gar bench latency`: what a question costs, beside the released way on the same checkpoint and machine.

Each side runs in a process of its own, which `worker` serves: `limits` measures the machine, `ours` an exported model,
and gar_export.released the released way in torch. `command` asks them one after another, `rows` makes tables of it.
"""

from gar_ros.bench.latency.command import add_arguments, run

__all__ = ["add_arguments", "run"]
