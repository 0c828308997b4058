# SPDX-License-Identifier: Apache-2.0
"""Draws a scene off screen: colour picture, metric depth and instance labels."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.scene import Scene
from gar_ros.sim.world import World


@dataclass(frozen=True, eq=False)
class Rendered:
    """A rendered picture and its ground truth.

    rgb: uint8 (H, W, 3). depth: float32 (H, W), metres along the optical axis, +inf where nothing is hit within 40 m
    (REP 117), None when not asked for. labels: uint8 (H, W), 0 nothing, i + 1 object i. intrinsics: K (3, 3), pixels.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    labels: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]


class TabletopRenderer:
    """Renders scenes in an off-screen OpenGL context, which `close` or a `with` statement frees.

    Only the thread that made it may use it.
    """

    def __init__(self, width: int, height: int, samples: int = 0) -> None:
        """width, height: pixels. samples: a pixel, for antialiasing the colour picture; 0 for none, 4 halve the speed.

        MUJOCO_GL=egl, the default here, needs Mesa's libEGL: without it importing MuJoCo fails already.
        """
        self.width, self.height = width, height
        self._world = World(width, height, samples)
        self._renderer = mujoco.Renderer(self._world.model, height, width)
        self._options = mujoco.MjvOption()

    def render(self, scene: Scene, depth: bool = True) -> Rendered:
        """The picture of a scene. depth: whether to render depth, too."""
        self._world.set_objects(scene.objects)
        self._world.set_surroundings(scene)
        renderer = self._renderer
        renderer.update_scene(self._world.data, "camera", self._options)
        rgb = renderer.render()
        renderer.enable_segmentation_rendering()
        labels = self._labels(renderer.render())
        renderer.disable_segmentation_rendering()
        return Rendered(rgb, self._depth() if depth else None, labels, scene.camera.intrinsics(self.width, self.height))

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._renderer.close()

    def __enter__(self) -> TabletopRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _labels(self, segmentation: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Labels (H, W) uint8 of a segmentation (H, W, 2) int32: MuJoCo's object id and type, -1 where nothing is."""
        lookup = np.append(self._world.slot_of_geom, np.uint8(0))  # id -1 is the last
        return lookup[segmentation[:, :, 0]]

    def _depth(self) -> NDArray[np.float32]:
        self._renderer.enable_depth_rendering()
        depth: NDArray[np.float32] = self._renderer.render()
        self._renderer.disable_depth_rendering()
        model = self._world.model
        depth[depth >= 0.999 * model.vis.map.zfar * model.stat.extent] = np.inf
        return depth
