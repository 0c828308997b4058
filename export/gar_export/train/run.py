# SPDX-License-Identifier: Apache-2.0
"""A resumable training run: weights, their average, optimiser and step in one safetensors file; numbers in a log."""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gar_export.model import GarModel
from gar_export.train.heads import Heads
from gar_export.train.muon import Muon
from gar_export.train.parallel import Workers

STATE = "state.safetensors"
LOG = "log.jsonl"

WARM_UP = 40  # steps
AVERAGE_DECAY = 0.998  # of the running average of the weights, a step
CLIP = 1.0  # largest norm of all gradients together
FINAL_RATE = 0.02  # of the learning rate at the end of a cooldown
SAVE_EVERY = 100  # steps
LOG_EVERY = 50  # steps
TIED = "lm_head"  # the same tensor as the embedding table
VISION_PARTS = (
    "vision_tower",
    "mask_patch_embedding",
    "multi_modal_projector",
    "heads.patch",
    "heads.region",
    "heads.grid",
)


class Stage(Protocol):
    """What a stage gives to the loop. `plan` is the same for all workers of a step, `rng` is the worker's own."""

    name: str

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> Any: ...

    def loss(self, model: GarModel, heads: Heads, batch: Any) -> tuple[Tensor, dict[str, float]]: ...

    def evaluate(self, model: GarModel, heads: Heads) -> dict[str, float]: ...


@dataclass(frozen=True)
class Settings:
    """How long and how fast.

    cooldown: share of the steps, at their end, over which the learning rate falls to its end, linearly. heads_only: the
    model stands still, so that new heads don't pull it where they happen to point. stop_at: an earlier step to stop at,
    for going on with other questions at the same rates.
    """

    steps: int
    learning_rate: float = 2e-3
    vision_scale: float = 1.0  # of the learning rate, for ViT, mask embedding and projector
    seed: int = 0
    evaluate_every: int = 300  # steps
    cooldown: float = 0.0
    heads_only: bool = False
    stop_at: int | None = None

    @property
    def last(self) -> int:
        """The step to train to now."""
        return self.steps if self.stop_at is None else min(self.steps, self.stop_at)


@dataclass
class Run:
    """The state of one stage in `folder`."""

    folder: Path
    model: GarModel
    heads: Heads
    average: nn.ModuleDict = field(init=False)
    step: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.modules())

    def modules(self) -> nn.ModuleDict:
        """Model and heads under the names their tensors have in the state file."""
        return nn.ModuleDict({"model": self.model, "heads": self.heads})

    def update_average(self) -> None:
        """Moves the average towards the present weights, faster during the first steps."""
        weight = max(1 - AVERAGE_DECAY, 9 / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.modules().parameters(), strict=True):
                mean.lerp_(now, weight)

    def save(self, optimiser: Muon) -> None:
        """Writes the state file, beside the old one first, so that an interruption leaves a whole file."""
        tensors = {f"now.{key}": value for key, value in _tensors(self.modules()).items()}
        tensors |= {f"average.{key}": value for key, value in _tensors(self.average).items()}
        tensors |= {f"optimiser.{key}": value for key, value in optimiser.state_dict().items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{STATE}.part"
        save_file(
            {key: value.detach().contiguous() for key, value in tensors.items()},
            beside,
            metadata={"step": str(self.step), "seconds": str(round(self.seconds))},
        )
        beside.replace(self.folder / STATE)

    def restart_average(self) -> None:
        """The average becomes the present weights."""
        self.average.load_state_dict(self.modules().state_dict())

    def resume(self, optimiser: Muon) -> None:
        """Continues from the state file if there is one."""
        path = self.folder / STATE
        if not path.is_file():
            return
        tensors = load_file(path)
        _fill(self.modules(), _part(tensors, "now."))
        _fill(self.average, _part(tensors, "average."))
        optimiser.load_state_dict(_part(tensors, "optimiser."))
        self.step = optimiser.steps
        with safe_open(path, "pt") as file:
            self.seconds = float(file.metadata()["seconds"])

    def log(self, numbers: dict[str, Any]) -> None:
        """Appends one line of JSON to the log and prints it."""
        line = json.dumps({"step": self.step, "minutes": round(self.seconds / 60, 1), **numbers})
        print(line, flush=True)
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def load_weights(modules: nn.ModuleDict, path: Path, parts: tuple[str, ...] = ("",)) -> None:
    """The averaged weights of a state file whose names contain one of `parts`; all by default.

    Raises FileNotFoundError naming the stage's folder, ValueError when the file doesn't fit the model.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected {STATE} in {path.parent}: run the stage before this one first")
    tensors = _part(load_file(path), "average.")
    _fill(modules, {name: value for name, value in tensors.items() if any(part in name for part in parts)}, parts)


def load_mean(modules: nn.ModuleDict, paths: list[Path]) -> None:
    """The mean of the averaged weights of state files. Raises as `load_weights` does."""
    total: dict[str, Tensor] = {}
    for path in paths:
        load_weights(modules, path)
        for name, value in modules.state_dict().items():
            total[name] = total.get(name, 0) + value / len(paths)
    modules.load_state_dict(total)


def _fill(modules: nn.Module, tensors: dict[str, Tensor], parts: tuple[str, ...] = ("",)) -> None:
    """Heads that the file lacks stay as they are: they are only there for training."""
    missing, unexpected = modules.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if name.startswith("model.") and TIED not in name]
    missing = [name for name in missing if any(part in name for part in parts)]
    if missing or unexpected:
        raise ValueError(f"the state file doesn't fit the model: missing {missing}, unexpected {unexpected}")


def _tensors(modules: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in modules.state_dict().items() if TIED not in key}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def make_optimiser(run: Run, vision_scale: float) -> Muon:
    """Muon over everything, vision weights with their own scale of the learning rate (0: left alone)."""
    vision: list[tuple[str, nn.Parameter]] = []
    rest: list[tuple[str, nn.Parameter]] = []
    for name, parameter in run.modules().named_parameters():
        is_vision = any(part in name for part in VISION_PARTS)
        (vision if is_vision else rest).append((name, parameter))
    return Muon([(vision_scale, vision), (1.0, rest)])


def train(run: Run, stage: Stage, settings: Settings, workers: Workers) -> None:
    """Trains to `settings.last` in all, from the state file when there is one.

    Batches depend on the seed, the step and the worker alone, so an interrupted run sees the data it would have seen.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    run.model.requires_grad_(not settings.heads_only)
    optimiser = make_optimiser(run, settings.vision_scale)
    run.resume(optimiser)
    run.modules().train()
    last = time.monotonic()
    recent: dict[str, list[float]] = defaultdict(list)
    while run.step < settings.last:
        plan = np.random.default_rng((settings.seed, run.step))
        batch = stage.batch(run.model, plan, np.random.default_rng((settings.seed, run.step, workers.number)))
        loss, numbers = stage.loss(run.model, run.heads, batch)
        optimiser.zero_grad()
        loss.backward()
        workers.average(optimiser.parameters.values())
        nn.utils.clip_grad_norm_(optimiser.parameters.values(), CLIP)
        optimiser.step(settings.learning_rate * _rate(run.step, settings))
        run.step += 1
        run.update_average()
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
        if not workers.leads:
            continue
        for key, value in {"loss": loss.item(), **numbers}.items():
            recent[key].append(value)
        if run.step % LOG_EVERY == 0:
            run.log(_means(recent))
            recent.clear()
        if run.step % SAVE_EVERY == 0 or run.step == settings.last:
            run.save(optimiser)
        if run.step % settings.evaluate_every == 0 or run.step == settings.last:
            _evaluate(run, stage)


def _rate(step: int, settings: Settings) -> float:
    """Factor of the learning rate at `step`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    if not settings.cooldown:
        return warm
    left = (settings.steps - step) / (settings.cooldown * settings.steps)
    return warm * max(FINAL_RATE, min(1.0, left))


def _evaluate(run: Run, stage: Stage) -> None:
    """Logs the held-out numbers of the averaged weights."""
    run.average.eval()
    run.log({"held_out": stage.evaluate(run.average["model"], run.average["heads"])})  # type: ignore[arg-type]


def _means(recent: dict[str, list[float]]) -> dict[str, float]:
    return {key: round(float(np.nanmean(values)), 4) for key, values in recent.items()}
