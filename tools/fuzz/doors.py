# SPDX-License-Identifier: Apache-2.0
"""The doors through which bytes from outside come in: each takes any bytes, and raises only for a fault of gar_ros.

A door turns the bytes into a message or file, reads it as the package does, and checks what came out. A GarError is a
right answer to wrong input.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField, RegionOfInterest

from gar_ros.bench import masks
from gar_ros.bench.files import Place
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import MANIFEST, Manifest
from gar_ros.errors import GarError
from gar_ros.frame import RegionSource
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.clouds import check_cloud, cloud_points
from gar_ros.messages.depth import camera_model, check_depth, depth_metres
from gar_ros.messages.encodings import ENCODINGS
from gar_ros.messages.images import frame_of
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.msg import Region, RegionArray
from gar_ros.pictures.files import load_mask, load_picture
from gar_ros.settings.inputs import REGIONS_TYPES, InputSettings
from tools.fuzz import seeds
from tools.fuzz.bytes_reader import BytesReader

_ENCODINGS = (*ENCODINGS, "8UC3", "", "bayer_rggb12")
_FORMATS = (
    "jpeg", "png", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; png compressed ", "bayer_gbrg16; png compressed ",
    "rgb8; png compressed rgb8", "mono8; png compressed ", "bayer_grbg8; jpeg compressed mono8",
)  # fmt: skip
_DEPTH_FORMATS = ("16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl", "16UC1")
_FIELDS = ("x", "y", "z", "rgb", "intensity", "")
_IDS = ("cup", "cup#2", "1", "", "é", "<Prompt0>", "/a/b", "detection:0")
_SIZE = (9, 7)  # width, height of the image that regions are for


class Door(NamedTuple):
    """seeds: inputs from which fuzzing starts. enter: reads one input; what it raises is a fault."""

    seeds: Callable[[], list[bytes]]
    enter: Callable[[bytes], None]


class BrokenPromiseError(Exception):
    """What came out of a door is not as its callers rely on."""


def _expect(kept: bool) -> None:
    if not kept:
        raise BrokenPromiseError


def compressed(data: bytes) -> None:
    """A CompressedImage: pixels of the size that was told before decoding."""
    given = BytesReader(data)
    message = CompressedImage(format=given.text(_FORMATS))
    picture = given.rest()
    message.data = as_bytes(np.frombuffer(_with_checksums(picture), np.uint8))
    _check_frame(message)
    message.data = as_bytes(np.frombuffer(picture, np.uint8))
    _check_frame(message)


def _with_checksums(picture: bytes) -> bytes:
    """A PNG whose checksums are right, so that its damage gets to the decoder."""
    mended, at = bytearray(picture), 8
    while picture.startswith(b"\x89PNG") and at + 12 <= len(picture):
        end = at + 8 + int.from_bytes(picture[at : at + 4], "big")
        mended[end : end + 4] = zlib.crc32(picture[at + 4 : end]).to_bytes(4, "big") if end + 4 <= len(picture) else b""
        at = end + 4
    return bytes(mended)


def images(data: bytes) -> None:
    """An Image of any encoding, step and byte order."""
    _check_frame(_image(BytesReader(data)))


def _check_frame(message: Image | CompressedImage) -> None:
    with suppress(GarError):
        frame = frame_of(message)
        image = frame.image
        _expect(image.dtype == np.uint8)
        _expect(image.shape == (frame.size[1], frame.size[0], 3))


def _image(given: BytesReader, encodings: tuple[str, ...] = _ENCODINGS) -> Image:
    encoding = given.text(encodings)
    width, height = given.size(), given.size()
    usual = ENCODINGS[encoding].row_bytes(width) if encoding in ENCODINGS else width
    step = given.size() if given.byte() > 200 else min(usual + given.byte() % 3, 2**32 - 1)
    message = Image(encoding=encoding, width=width, height=height, step=step, is_bigendian=given.byte() % 3)
    rows = height * 3 // 2
    needed = min(step * rows, 2**16)
    content = given.take(64) or b"\1\0"
    message.data = as_bytes(np.resize(np.frombuffer(content, np.uint8), max(needed - given.byte() // 200, 0)))
    return message


def files(data: bytes) -> None:
    """A picture file of the command line, as an image and as a mask; large ones would only be slow."""
    with mock.patch("PIL.Image.MAX_IMAGE_PIXELS", 10**6), tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with suppress(GarError):
            picture = load_picture(Path(file.name))
            _expect(picture.pixels.ndim == 3)
            mask = load_mask(Path(file.name))
            _expect(mask.shape == picture.pixels.shape[:2])
            _expect(not mask.all())


def rle(data: bytes) -> None:
    """A mask of a benchmark's annotation."""
    given = BytesReader(data)
    height, width = given.byte() % 9 + 1, given.byte() % 9 + 1
    segmentation: Any
    if given.flag():
        segmentation = {"size": [height, width], "counts": given.rest().decode("latin-1")}
    elif given.flag():
        segmentation = {"size": [height, width], "counts": [given.size(40) for _ in range(given.byte() % 12)]}
    else:
        segmentation = [[given.number() for _ in range(given.byte() % 14)] for _ in range(given.byte() % 4)]
    with suppress(GarError):
        masks.check_segmentation(segmentation, (width, height), Place(Path("a.json")))
        _expect(masks.decode(segmentation, (width, height)).shape == (height, width))


def manifest(data: bytes) -> None:
    """A model folder with this manifest; one that is accepted as text is written back as it was read."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        with suppress(GarError):
            ModelDir.open(Path(folder))
    with suppress(GarError, UnicodeDecodeError):
        read = Manifest.from_json(data.decode())
        _expect(Manifest.from_json(read.to_json()) == read)


def clouds(data: bytes) -> None:
    """A PointCloud2."""
    given = BytesReader(data)
    fields = [
        PointField(
            name=given.text(_FIELDS), offset=given.size(), datatype=given.byte() % 10, count=given.size(2)
        )
        for _ in range(given.byte() % 7)
    ]  # fmt: skip
    width, height, point_step = given.size(), given.size(), given.size(20)
    row_step = given.size() if given.byte() > 200 else min(width * point_step + given.byte() % 3, 2**32 - 1)
    message = PointCloud2(fields=fields, width=width, height=height, point_step=point_step, row_step=row_step)
    message.is_bigendian = given.flag()
    content = np.frombuffer(given.take(64) or b"\0\1", np.uint8)
    message.data = as_bytes(np.resize(content, max(min(row_step * height, 2**16) - given.byte() // 200, 0)))
    with suppress(GarError):
        check_cloud(message)
        _expect(cloud_points(message).shape == (height, width, 3))


def depth(data: bytes) -> None:
    """A depth image, raw or compressed, and its camera."""
    given = BytesReader(data)
    message: Image | CompressedImage
    if given.flag():
        message = _image(given, ("16UC1", "32FC1", "mono16", "mono8"))
    else:
        message = CompressedImage(format=given.text(_DEPTH_FORMATS))
        message.data = as_bytes(np.frombuffer(given.rest(), np.uint8))
    with suppress(GarError):
        width, height = check_depth(message)
        metres = depth_metres(message)
        _expect(metres.dtype == np.float32)
        _expect(metres.shape == (height, width))


def cameras(data: bytes) -> None:
    """A CameraInfo, and the rays of some pixels."""
    given = BytesReader(data)
    info = CameraInfo(width=given.size(640), height=given.size(480), binning_x=given.size(2), binning_y=given.size(2))
    info.distortion_model = given.text(("plumb_bob", "rational_polynomial", "equidistant", ""))
    info.roi = RegionOfInterest(
        x_offset=given.size(), y_offset=given.size(), width=given.size(99), height=given.size(99)
    )
    info.d = [given.number() for _ in range(given.byte() % 15)]
    info.k = [given.number() for _ in range(9)] if given.flag() else [500.0, 0.0, 9.0, 0.0, 500.0, 9.0, 0.0, 0.0, 1.0]
    info.p = [given.number() for _ in range(12)]
    with suppress(GarError):
        camera = camera_model(info, given.flag())
        columns = rows = np.arange(3)
        for size in (_SIZE, (max(info.width, 1), max(info.height, 1))):
            with suppress(GarError):
                camera.check_size(size)
                rays = camera.rays(columns, rows, size)
                _expect(rays.shape == (3, 2))


def detections(data: bytes) -> None:
    """What any detector publishes, as regions of the image's size."""
    given = BytesReader(data)
    kind, joined = given.one_of(REGIONS_TYPES), given.flag()
    inputs = InputSettings(
        regions_type=kind,
        regions_masks="instances" if joined else "own",
        label_packing=given.one_of(("none", "class_instance")),
        instance_bits=1 + given.byte() % 31,
        class_names=("", "mug"),
    )
    builder = RegionBuilder(inputs)
    message = {"Region": _region_array, "Detection2DArray": _vision, "DetectionArray": _yolo}
    make = next((make for name, make in message.items() if kind.endswith(name)), _region_array)
    with suppress(GarError):
        _check_regions(builder.of_labels(_image(given, ("mono8", "16UC1", "32SC1", "32UC1", "8UC1", "rgb8")), _SIZE))
    with suppress(GarError):
        _check_regions(builder.of_detections(make(given), _SIZE))


def _check_regions(source: RegionSource | None) -> None:
    if source is None:
        return
    for boxes in (False, True):
        source.sightings(boxes)
    ids = source.ids()
    _expect(len(set(ids)) == len(ids))
    for region_id in ids:
        with suppress(GarError):
            region = source.region(region_id)
            _expect(region.mask.shape == _SIZE[::-1])
            _expect(bool(region.mask.any()))


def _region_array(given: BytesReader) -> RegionArray:
    return RegionArray(width=_SIZE[0], height=_SIZE[1], regions=[_region(given) for _ in range(given.byte() % 4)])


def _region(given: BytesReader) -> Region:
    region = Region(id=given.text(_IDS), label=given.text(_IDS), score=min(max(given.number(), -3e38), 3e38))
    region.box = RegionOfInterest(x_offset=given.size(), y_offset=given.size(), width=given.size(), height=given.size())
    if given.flag():
        region.mask = _image(given, ("mono8", "8UC1", "rgb8"))
    return region


def _vision(given: BytesReader) -> SimpleNamespace:
    """As vision_msgs/Detection2DArray."""
    return SimpleNamespace(header=Image().header, detections=[_vision_one(given) for _ in range(given.byte() % 4)])


def _vision_one(given: BytesReader) -> SimpleNamespace:
    guess = SimpleNamespace(class_id=given.text(_IDS), score=given.number())
    centre = SimpleNamespace(position=SimpleNamespace(x=given.number(), y=given.number()), theta=given.number())
    box = SimpleNamespace(center=centre, size_x=given.number(), size_y=given.number())
    results = [SimpleNamespace(hypothesis=guess)] * (given.byte() % 3)
    return SimpleNamespace(header=Image().header, id=given.text(_IDS), results=results, bbox=box)


def _yolo(given: BytesReader) -> SimpleNamespace:
    """As yolo_msgs/DetectionArray."""
    return SimpleNamespace(header=Image().header, detections=[_yolo_one(given) for _ in range(given.byte() % 4)])


def _yolo_one(given: BytesReader) -> SimpleNamespace:
    centre = SimpleNamespace(position=SimpleNamespace(x=given.number(), y=given.number()), theta=given.number())
    size = SimpleNamespace(x=given.number(), y=given.number())
    points = [SimpleNamespace(x=given.number(), y=given.number()) for _ in range(given.byte() % 6)]
    mask = SimpleNamespace(width=given.size(), height=given.size(), data=points)
    return SimpleNamespace(
        id=given.text(_IDS),
        class_id=given.byte(),
        class_name=given.text(_IDS),
        score=given.number(),
        bbox=SimpleNamespace(center=centre, size=size),
        mask=mask,
    )


DOORS = {
    "compressed": Door(seeds.compressed, compressed),
    "images": Door(seeds.images, images),
    "files": Door(seeds.pictures, files),
    "rle": Door(seeds.segmentations, rle),
    "manifest": Door(seeds.manifests, manifest),
    "clouds": Door(seeds.clouds, clouds),
    "depth": Door(seeds.depths, depth),
    "cameras": Door(seeds.cameras, cameras),
    "detections": Door(seeds.any_bytes, detections),
}
