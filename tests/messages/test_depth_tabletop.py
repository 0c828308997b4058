# SPDX-License-Identifier: Apache-2.0
"""Places from views of one rendered table: whole, rectified, windows, binned, scaled. They are the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from gar_ros.geometry.extent import region_extent
from gar_ros.geometry.surface import DepthSurface
from gar_ros.messages.depth import camera_model
from tests.off_screen import skip_without_off_screen_opengl

if TYPE_CHECKING:  # it needs MuJoCo, which no robot has
    from gar_ros.sim.render import Rendered

WIDTH, HEIGHT = 320, 240
MILLIMETRE = 1e-3
LENS = {"k": [200.0, 0.0, 100.0, 0.0, 200.0, 100.0, 0.0, 0.0, 1.0], "d": [0.3, 0.1, 0.0, 0.0, 0.0]}
"""Of the image that would be rectified to the rendered one; any other lens than the renderer's."""


@pytest.fixture(scope="module")
def picture() -> Iterator[Rendered]:
    skip_without_off_screen_opengl()
    from gar_ros.sim.generate import random_scene
    from gar_ros.sim.render import TabletopRenderer

    with TabletopRenderer(WIDTH, HEIGHT) as renderer:
        yield renderer.render(random_scene(3_000_000))


def largest(picture: Rendered) -> NDArray[np.bool_]:
    """Mask of the object with the most pixels."""
    numbers, counts = np.unique(picture.labels[picture.labels > 0], return_counts=True)
    return np.asarray(picture.labels == numbers[counts.argmax()])


def info_of(picture: Rendered, rectified: bool, **fields: Any) -> CameraInfo:
    """The camera; rectified: its image counts as rectified, so it is described by P."""
    matrix = [float(number) for number in picture.intrinsics.ravel()]
    p = [*matrix[:3], 0.0, *matrix[3:6], 0.0, *matrix[6:], 0.0]
    lens = LENS if rectified else {"k": matrix}
    return CameraInfo(width=WIDTH, height=HEIGHT, p=p, distortion_model="plumb_bob", **lens, **fields)


def centroid(info: CameraInfo, rectified: bool, picture: Rendered, cut: tuple[slice, slice]) -> NDArray[np.float64]:
    """Of the largest object, from the part `cut` of the picture."""
    depth, mask = np.asarray(picture.depth)[cut], largest(picture)[cut]
    surface = DepthSurface(0, "optical", lambda: depth, camera_model(info, rectified))
    return np.array(region_extent(mask, surface).centroid)


WHOLE = (slice(None), slice(None))


@pytest.mark.parametrize("rectified", [False, True])
def test_a_window_shows_the_same_places(picture: Rendered, rectified: bool) -> None:
    truth = centroid(info_of(picture, rectified=False), False, picture, WHOLE)
    rows, columns = np.nonzero(largest(picture))
    top, left = int(rows.min()), int(columns.min())
    assert top + left > 20, "the window must begin somewhere else than the picture"
    roi = RegionOfInterest(x_offset=left, y_offset=top, width=WIDTH - left, height=HEIGHT - top)
    cut = (slice(top, None), slice(left, None))
    found = centroid(info_of(picture, rectified, roi=roi), rectified, picture, cut)
    np.testing.assert_allclose(found, truth, atol=MILLIMETRE)


def test_a_rectified_image_shows_the_places_of_p(picture: Rendered) -> None:
    truth = centroid(info_of(picture, rectified=False), False, picture, WHOLE)
    info = info_of(picture, rectified=True)
    np.testing.assert_allclose(centroid(info, True, picture, WHOLE), truth, atol=0.01 * MILLIMETRE)
    assert np.linalg.norm(centroid(info, False, picture, WHOLE) - truth) > 50 * MILLIMETRE, "K would say so"


@pytest.mark.parametrize("rectified", [False, True])
def test_binned_images_show_the_same_places(picture: Rendered, rectified: bool) -> None:
    """By every other pixel, so half a pixel of the sensor off."""
    truth = centroid(info_of(picture, rectified=False), False, picture, WHOLE)
    info = info_of(picture, rectified, binning_x=2, binning_y=2)
    half = (slice(None, None, 2), slice(None, None, 2))
    np.testing.assert_allclose(centroid(info, rectified, picture, half), truth, atol=4 * MILLIMETRE)
