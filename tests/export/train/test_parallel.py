# SPDX-License-Identifier: Apache-2.0
"""Two real processes average their gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys, torch
from pathlib import Path
from gar_export.train.parallel import run_workers
torch.set_num_threads(1)

def work(workers):
    both, one, none = (torch.nn.Parameter(torch.zeros(size)) for size in (2, 3, 4))
    both.grad = torch.full((2,), float(workers.number + 1))
    if workers.leads:
        one.grad = torch.ones(3)
    workers.average([both, one, none])
    found = [None if p.grad is None else p.grad.tolist() for p in (both, one, none)]
    Path(sys.argv[1], str(workers.number)).write_text(json.dumps(found))

run_workers(2, work)
"""


def test_a_gradient_that_only_one_process_has_is_averaged_too(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)], check=True, timeout=120)
    for number in ("0", "1"):
        assert json.loads((tmp_path / number).read_text()) == [[1.5, 1.5], [0.5, 0.5, 0.5], None]
