# SPDX-License-Identifier: Apache-2.0
"""Whatever cameras, depth and clouds say: a region has a place of finite numbers, or a reason why it has none."""

from __future__ import annotations

import math
import struct
from functools import partial
from typing import Any

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField, RegionOfInterest

from gar_ros.errors import GarError
from gar_ros.frame import Frame
from gar_ros.geometry.surface import CloudSurface, DepthSurface, Surface
from gar_ros.memory.depth import DepthMemory
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.clouds import check_cloud, cloud_points
from gar_ros.messages.depth import camera_model, check_depth, depth_metres
from gar_ros.region import Region

WIDTH, HEIGHT = 8, 6
FRAME = Frame(0, "camera", (WIDTH, HEIGHT), lambda: np.zeros((HEIGHT, WIDTH, 3), np.uint8))
REGIONS = [Region.from_box("all", (0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT)), Region.from_box("one", (2, 2, 3, 3), (8, 6))]

uint32 = st.integers(0, 12) | st.integers(0, 2**32 - 1)
number = st.sampled_from([0.0, 1.0, -1.0, 5.0, 1e-300, 1e300, math.inf, -math.inf, math.nan]) | st.floats()
data = st.binary(max_size=400).map(lambda some: as_bytes(np.frombuffer(some, np.uint8)))


def mostly(usual: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual value more often than not: else a message is refused for its first field."""
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), other)


@st.composite
def cameras(draw: st.DrawFn) -> CameraInfo:
    matrix, projection = [5.0, 0, 4, 0, 5, 3, 0, 0, 1], [4.0, 0, 4, 0, 0, 4, 3, 0, 0, 0, 1, 0]
    return CameraInfo(
        width=draw(mostly(WIDTH, uint32)),
        height=draw(mostly(HEIGHT, uint32)),
        distortion_model=draw(st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "plumb bob"])),
        d=draw(st.lists(st.floats(-1, 1) | number, max_size=15)),
        k=[draw(mostly(float(usual), number)) for usual in matrix],
        p=[draw(mostly(float(usual), number)) for usual in projection],
        binning_x=draw(mostly(0, uint32)),
        binning_y=draw(mostly(0, uint32)),
        roi=RegionOfInterest(**{name: draw(mostly(0, uint32)) for name in ("x_offset", "y_offset", "width", "height")}),
    )


@st.composite
def depth_images(draw: st.DrawFn) -> Image:
    encoding = draw(st.sampled_from(["32FC1", "16UC1", "mono16", "8UC1", "64FC1", ""]))
    step = WIDTH * (4 if encoding == "32FC1" else 2)
    values = draw(st.binary(min_size=step * HEIGHT, max_size=step * HEIGHT + 40))
    return Image(
        width=draw(mostly(WIDTH, uint32)),
        height=draw(mostly(HEIGHT, uint32)),
        encoding=encoding,
        is_bigendian=draw(st.integers(0, 255)),
        step=draw(mostly(step, uint32)),
        data=as_bytes(np.frombuffer(values, np.uint8)),
    )


@st.composite
def compressed_images(draw: st.DrawFn) -> CompressedImage:
    values = np.frombuffer(draw(st.binary(min_size=96, max_size=96)), np.uint16).reshape(HEIGHT, WIDTH)
    png = cv2.imencode(".png", values)[1].tobytes()
    damaged = bytearray(png)
    for place in draw(st.lists(st.integers(0, len(png) - 1), max_size=3)):
        damaged[place] = draw(st.integers(0, 255))
    rvl = struct.pack("<II", draw(mostly(WIDTH, uint32)), draw(mostly(HEIGHT, uint32))) + draw(st.binary(max_size=200))
    numbers = [draw(mostly(1.0, st.floats(width=32))) for _ in range(2)]
    coded = draw(st.sampled_from([bytes(damaged), rvl]))
    return CompressedImage(
        format=draw(st.sampled_from(["16UC1", "32FC1", "8UC1"]))
        + draw(st.sampled_from(["; compressedDepth png", "; compressedDepth rvl", "", "; compressedDepth", "; jpeg"])),
        data=as_bytes(np.frombuffer(struct.pack("<iff", 0, *numbers) + coded, np.uint8)),
    )


@st.composite
def clouds(draw: st.DrawFn) -> PointCloud2:
    fields = [
        PointField(
            name=draw(mostly(name, st.sampled_from(["x", "rgb", ""]))),
            offset=draw(mostly(4 * place, uint32)),
            datatype=draw(mostly(PointField.FLOAT32, st.integers(0, 255))),
            count=draw(mostly(1, uint32)),
        )
        for place, name in enumerate("xyz")
    ]
    values = draw(st.binary(min_size=16 * WIDTH * HEIGHT, max_size=16 * WIDTH * HEIGHT))
    return PointCloud2(
        width=draw(mostly(WIDTH, uint32)),
        height=draw(mostly(HEIGHT, uint32)),
        fields=draw(mostly(fields, st.just(fields[:2]))),
        is_bigendian=draw(st.booleans()),
        point_step=draw(mostly(16, uint32)),
        row_step=draw(mostly(16 * WIDTH, uint32)),
        data=draw(mostly(as_bytes(np.frombuffer(values, np.uint8)), data)),
    )


def assert_place_or_reason(surface: Surface) -> None:
    depth = DepthMemory(1, 0)
    depth.add(surface)
    extents = depth.extents(FRAME, REGIONS)
    for region, extent in zip(REGIONS, extents, strict=True):
        numbers = [*extent.centroid, *extent.low, *extent.high]
        assert np.isfinite(numbers).all() if extent.known else np.isnan(numbers).all()
        points = depth.points(surface, region)
        assert np.isfinite(points).all()
        assert depth.trouble or len(points) == extent.points


def depth_surface(info: CameraInfo, rectified: bool, message: Image | CompressedImage) -> Surface | None:
    """None where a message is refused."""
    try:
        camera = camera_model(info, rectified)
        camera.check_size(check_depth(message))
    except GarError:
        return None
    return DepthSurface(0, "camera", partial(depth_metres, message), camera)


def cloud_surface(message: PointCloud2) -> Surface | None:
    """None where the message is refused."""
    try:
        check_cloud(message)
    except GarError:
        return None
    return CloudSurface(0, "lens", partial(cloud_points, message))


@given(st.builds(depth_surface, cameras(), st.booleans(), st.one_of(depth_images(), compressed_images())))
def test_of_cameras_and_depth_images(surface: Surface | None) -> None:
    if surface is not None:
        assert_place_or_reason(surface)


@given(st.builds(cloud_surface, clouds()))
def test_of_clouds(surface: Surface | None) -> None:
    if surface is not None:
        assert_place_or_reason(surface)
