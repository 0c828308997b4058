# SPDX-License-Identifier: Apache-2.0
"""Data parallel training on one machine: processes of one thread each, which meet once a step.

On a shared CPU this is faster than one process of several threads, which meet at every operation and then wait for
the one that was held up.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed
from torch import nn


class Workers:
    """One of `count` equal processes; number 0 decides, logs and saves."""

    def __init__(self, number: int = 0, count: int = 1) -> None:
        self.number, self.count = number, count

    @property
    def leads(self) -> bool:
        """True in the process that decides."""
        return self.number == 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces the gradients by their mean over all processes; one that a process lacks counts as zero there, as
        of a loss that its batch had nothing for."""
        if self.count == 1:
            return
        everything = list(parameters)
        there = torch.tensor([parameter.grad is not None for parameter in everything]).float()
        torch.distributed.all_reduce(there)
        used = [parameter for parameter, count in zip(everything, there.tolist(), strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in used if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def run_workers(count: int, work: Callable[[Workers], None]) -> None:
    """Calls `work` in `count` forked processes, this one included: what is in memory is shared. torch must have used
    one thread until now."""
    if count == 1:
        work(Workers())
        return
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        meeting = Path(folder) / "meeting"
        others = [
            context.Process(target=_join, args=(number, count, meeting, work), daemon=True)
            for number in range(1, count)
        ]
        for process in others:
            process.start()
        _join(0, count, meeting, work)
        for process in others:
            process.join()


def _join(number: int, count: int, meeting: Path, work: Callable[[Workers], None]) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=number, world_size=count)
    work(Workers(number, count))
    torch.distributed.destroy_process_group()
