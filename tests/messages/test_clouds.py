# SPDX-License-Identifier: Apache-2.0
"""Point clouds from their messages, and the cloud that rviz shows; with sensor_msgs_py and without."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages import clouds
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.clouds import check_cloud, cloud_points, coloured_cloud


@pytest.fixture(params=["sensor_msgs_py", "gar_ros"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What reads and writes."""
    clouds.library.cache_clear()
    if request.param == "gar_ros":
        monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
        assert clouds.library() is None
    elif clouds.library() is None:
        pytest.skip("sensor_msgs_py is not installed: robots have it from apt, PyPI has none")
    yield request.param
    clouds.library.cache_clear()


def cloud(
    width: int = 3, height: int = 2, names: str = "xyz", padding: int = 8, bigendian: bool = False
) -> PointCloud2:
    """Organised, with bytes between the points and after the rows; x counts the points."""
    point_step, row_step = 16, 16 * width + padding
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(names)
    ]
    data = np.zeros((height, row_step // 4), ">f4" if bigendian else "<f4")
    for number in range(width * height):
        row, column = divmod(number, width)
        data[row, 4 * column : 4 * column + 3] = (number, number + 0.25, number + 0.5)
    return PointCloud2(
        width=width,
        height=height,
        fields=fields,
        is_bigendian=bigendian,
        point_step=point_step,
        row_step=row_step,
        data=as_bytes(data),
    )


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("padding", [0, 8])
def test_an_organised_cloud_is_read_whatever_lies_between_its_points(padding: int, bigendian: bool) -> None:
    message = cloud(padding=padding, bigendian=bigendian)
    before = bytes(message.data)
    check_cloud(message)
    for _ in range(2):
        points = cloud_points(message)
        assert (points.shape, str(points.dtype)) == ((2, 3, 3), "float32")
        assert points[1, 2].tolist() == [5.0, 5.25, 5.5]
        assert points[0, 1].tolist() == [1.0, 1.25, 1.5]
    assert bytes(message.data) == before


def test_fields_that_nobody_asks_for_may_be_anything() -> None:
    message = cloud()
    message.fields = [
        PointField(name="ring", offset=12, datatype=99, count=0),
        *reversed(message.fields),
        PointField(name="ring", offset=12, datatype=PointField.UINT16, count=1),
    ]
    check_cloud(message)
    assert cloud_points(message)[1, 2].tolist() == [5.0, 5.25, 5.5]


def test_clouds_that_do_not_fit_an_image_are_refused() -> None:
    with pytest.raises(GarError, match="expected an organised cloud with the image's rows, got 1 row of 6 points"):
        check_cloud(cloud(6, 1))
    with pytest.raises(GarError, match="expected float32 fields x, y, z, got x, y, i"):
        check_cloud(cloud(names="xyi"))
    cut = cloud()
    cut.data = cut.data[:50]
    with pytest.raises(GarError, match="expected 2 rows of 3 x 16 bytes, got 50 bytes, 56 a row"):
        check_cloud(cut)
    beyond = cloud()
    beyond.fields[2].offset = 13
    with pytest.raises(GarError, match="expected x, y, z within the 16 bytes of a point, got offsets 0, 4, 13"):
        check_cloud(beyond)


def test_a_number_of_values_that_drivers_leave_out_is_one() -> None:
    message = cloud()
    for field in message.fields:
        field.count = 0
    check_cloud(message)
    assert cloud_points(message)[1, 2].tolist() == [5.0, 5.25, 5.5]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            [("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 4, 7, 1)],
            "expected x, y, z beside each other, .* got offsets 0, 4, 4",
        ),
        ([("x", 0, 7, 1), ("y", 2, 7, 1), ("z", 8, 7, 1)], "got offsets 0, 2, 8"),
        ([("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 2**32 - 1, 7, 1)], "within the 16 bytes of a point, got .* 4294967295"),
        ([("x", 0, 7, 3), ("y", 12, 7, 1), ("z", 4, 7, 1)], "expected one number in each of x, y, z, got 3, 1, 1"),
        ([("x", 0, 8, 1), ("y", 4, 7, 1), ("z", 8, 7, 1)], "expected float32 fields x, y, z, got x, y, z"),
        ([("x", 0, 7, 1), ("x", 4, 7, 1)], "expected float32 fields x, y, z, got x"),
        ([], "expected float32 fields x, y, z, got no fields"),
    ],
)
def test_fields_that_are_no_coordinates_are_refused(fields: list[tuple[str, int, int, int]], reason: str) -> None:
    message = cloud()
    message.fields = [PointField(name=name, offset=at, datatype=kind, count=n) for name, at, kind, n in fields]
    with pytest.raises(GarError, match=f"points: .*{reason}"):
        check_cloud(message)


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 0},
        {"height": 0},
        {"height": 2**32 - 1},
        {"width": 2**32 - 1},
        {"row_step": 2**32 - 1},
        {"row_step": 0},
        {"point_step": 0},
        {"point_step": 2**32 - 1},
    ],
)
def test_sizes_beyond_the_data_are_refused(sizes: dict[str, int]) -> None:
    message = cloud()
    for name, value in sizes.items():
        setattr(message, name, value)
    with pytest.raises(GarError, match="points: expected"):
        check_cloud(message)


def test_a_coloured_cloud_holds_points_and_colours() -> None:
    message = coloured_cloud(
        np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        np.array([[255, 16, 1], [0, 0, 7]], np.uint8),
        Header(frame_id="lens"),
    )
    assert (message.header.frame_id, message.width, message.height, message.row_step) == ("lens", 2, 1, 32)
    assert (message.is_dense, message.is_bigendian, message.point_step) == (True, False, 16)
    assert [field.name for field in message.fields] == ["x", "y", "z", "rgb"]
    assert np.frombuffer(message.data, "<f4").reshape(2, 4)[:, :3].tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert np.frombuffer(message.data, "<u4").reshape(2, 4)[:, 3].tolist() == [0xFF1001, 7]


def test_a_cloud_without_points_is_one_too() -> None:
    message = coloured_cloud(np.empty((0, 3)), np.empty((0, 3), np.uint8), Header(frame_id="lens"))
    assert (message.width, message.height, len(message.data), len(message.fields)) == (0, 1, 0, 4)


def test_the_log_says_once_what_reads_and_writes(library: str, caplog: pytest.LogCaptureFixture) -> None:
    clouds.library.cache_clear()
    with caplog.at_level(logging.INFO, "gar_ros"):
        for _ in range(2):
            cloud_points(cloud())
    (said,) = caplog.messages
    assert said.startswith(f"point clouds are read and written by {library}")
