# SPDX-License-Identifier: Apache-2.0
"""The moving tabletop as a pure function of seed and stamp, so that two processes agree on what an image shows."""

from __future__ import annotations

from gar_ros.sim.carrying import Carrying
from gar_ros.sim.generate import random_scene
from gar_ros.sim.motion import STEP, SlowMotion
from gar_ros.sim.scene import Scene

LENGTH = 20.0  # seconds of motion, played alternately forwards and backwards, so it never jumps
OBJECTS = (6, 8)
DEMO_SEED = 5_011_280
"""Balls in two bowls, a box on a box, things that touch: a scene that gar-tiny sees well, and was not trained on."""

_STEP_NS = round(STEP * 1e9)


class Timeline:
    """The scenes of one seed, the same in every process. Making it takes about a second."""

    def __init__(self, seed: int, carry: bool = False) -> None:
        """carry: whether an object is taken out of its bowl and put back again and again, where there is one."""
        start = random_scene(seed, OBJECTS)
        motion = SlowMotion(start, seed)
        self._scenes = [start, *(motion.advance(STEP) for _ in range(round(LENGTH / STEP)))]
        self.carrying = Carrying.of(self._scenes) if carry else None

    def at(self, stamp_ns: int) -> Scene:
        """The scene at a stamp, nanoseconds since any epoch. It changes every `motion.STEP` seconds."""
        last = len(self._scenes) - 1
        phase = stamp_ns // _STEP_NS % (2 * last)
        scene = self._scenes[min(phase, 2 * last - phase)]
        return self.carrying.at(scene, stamp_ns // _STEP_NS * _STEP_NS) if self.carrying else scene
