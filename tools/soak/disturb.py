# SPDX-License-Identifier: Apache-2.0
"""Who is killed when: planners, camera and detector in turns, planners also in the middle of an action."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from tools.soak.crew import Crew
from tools.soak.journal import last_row

MID_ACTION, PLANNER, CAMERA, DETECTOR = "a planner mid-action", "a planner", "the camera", "the detector"
TURNS = (MID_ACTION, CAMERA, PLANNER, DETECTOR)
DOWN_SECONDS = 3.0
"""How long camera and detector stay away: longer than images may be old."""
ACTIONS = ("action", "action, cancelled")
HUNT_SECONDS = 10.0
"""How long a planner in the middle of an action is looked for."""


class Disturbances:
    """One every `period` seconds; `step` is called again and again and never waits."""

    def __init__(self, crew: Crew, planners: list[str], folder: Path, period: float, now: float) -> None:
        """now: monotonic seconds, as everywhere here. folder: where the planners' journals are."""
        self._crew, self._planners, self._folder, self._period = crew, planners, folder, period
        self._turns = itertools.cycle(TURNS)
        self._chance = random.Random(3)  # noqa: S311, no secret
        self._next = now + period
        self._returns: dict[str, float] = {}
        self._hunt_until: float | None = None

    def step(self, now: float) -> None:
        """Kills whose turn it is, and starts who was away long enough."""
        for name, due in list(self._returns.items()):
            if now >= due:
                del self._returns[name]
                self._crew.start(name)
        if self._hunt_until is not None:
            self._hunt(now)
        elif now >= self._next:
            self._next = now + self._period
            self._begin(next(self._turns), now)

    def _begin(self, what: str, now: float) -> None:
        if what == MID_ACTION:
            self._hunt_until = now + HUNT_SECONDS
        elif what == PLANNER:
            self._kill(self._chance.choice(self._planners), what, now)
        else:
            self._kill("camera" if what == CAMERA else "detector", what, now + DOWN_SECONDS)

    def _hunt(self, now: float) -> None:
        """Kills the first planner that is found waiting for an action's result."""
        for name in self._chance.sample(self._planners, len(self._planners)):
            newest = last_row(self._folder / f"{name}.jsonl")
            if name not in self._returns and newest.get("event") == "asks" and newest.get("case") in ACTIONS:
                self._hunt_until = None
                self._kill(name, MID_ACTION, now)
                return
        if self._hunt_until is not None and now > self._hunt_until:
            self._hunt_until = None

    def _kill(self, name: str, why: str, back: float) -> None:
        self._crew.kill(name, why)
        self._returns[name] = back
