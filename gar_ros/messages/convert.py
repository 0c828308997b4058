"""Every conversion between messages and the values the rest of the package works with."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, RegionSource
from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.scene_graph import SceneGraph
from gar_ros.memory.tracks import Track, TrackState
from gar_ros.messages.images import check_layout, compressed_rgb, compressed_size, image_array, image_rgb
from gar_ros.msg import Answer as AnswerMessage
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import RegionArray, RegionGeometry
from gar_ros.msg import Relation as RelationMessage
from gar_ros.msg import SceneGraph as SceneGraphMessage
from gar_ros.msg import Track as TrackMessage
from gar_ros.region import Region

Size = tuple[int, int]
"""(width, height) in pixels."""

_MASK_ENCODINGS = ("mono8", "8UC1")


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a message's stamp."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_message(nanoseconds: int) -> Time:
    """Stamp of a message."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def duration_message(nanoseconds: int) -> Duration:
    """Duration, negative ones too."""
    return Duration(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def header_message(frame_id: str, nanoseconds: int) -> Header:
    """Header of an image."""
    return Header(frame_id=frame_id, stamp=stamp_message(nanoseconds))


def frame_of(image: Image | CompressedImage, regions: RegionSource | None = None) -> Frame:
    """The value of a camera image; its pixels are converted when somebody wants them."""
    if isinstance(image, CompressedImage):
        size = compressed_size(image)
        header = image.header
        return Frame(stamp_ns(header.stamp), header.frame_id, size, lambda: compressed_rgb(image), regions)
    size = (int(image.width), int(image.height))
    return Frame(stamp_ns(image.header.stamp), image.header.frame_id, size, lambda: image_rgb(image), regions)


def region_of(message: RegionMessage, size: Size, stamp: int) -> Region:
    """Region of an image of `size`: its mask covers the image or its box; without mask the box is the region.

    stamp: of that image, nanoseconds. Raises GarError INVALID_REQUEST or EMPTY_MASK.
    """
    check_mask(message, size)
    box, score, (width, height) = message.box, float(message.score), size
    x0, y0 = int(box.x_offset), int(box.y_offset)
    if not message.mask.data:
        corners = (x0, y0, x0 + int(box.width), y0 + int(box.height))
        return Region.from_box(message.id, corners, size, message.label, score, stamp)
    pixels = image_array(message.mask)
    if pixels.shape == (height, width):
        return Region.from_mask(message.id, pixels, message.label, score, stamp)
    full = np.zeros((height, width), bool)
    target = full[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]]
    target[:] = pixels[: target.shape[0], : target.shape[1]] != 0  # a box may reach beyond the image's edge
    return Region.from_mask(message.id, full, message.label, score, stamp)


def check_mask(message: RegionMessage, size: Size) -> None:
    """Raises GarError INVALID_REQUEST when a region's mask can't be read or placed; looks at no pixel."""
    box, mask = message.box, message.mask
    if not mask.data:
        return
    if mask.encoding not in _MASK_ENCODINGS:
        raise GarError(ErrorCode.INVALID_REQUEST, f"region '{message.id}': expected a mono8 mask, got {mask.encoding}")
    try:
        check_layout(mask)
    except GarError as error:
        raise GarError(error.code, f"region '{message.id}': mask: {error.message}") from error
    if (mask.width, mask.height) not in (size, (box.width, box.height)):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"region '{message.id}': expected a mask as large as the image ({size[0]}x{size[1]} px) or its box "
            f"({box.width}x{box.height} px), got {mask.width}x{mask.height} px",
        )


def region_message(region: Region, with_mask: bool, extent: Extent | None = None) -> RegionMessage:
    """with_mask: fill `mask`, cropped to the box. extent: None where places in space are not known."""
    x0, y0, x1, y1 = region.box
    message = RegionMessage(id=region.id, label=region.label, score=float(region.score))
    message.box = RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)
    message.geometry = geometry_message(extent or Extent("", region.stamp_ns))
    if with_mask:
        message.mask = image_message(region.mask[y0:y1, x0:x1].astype(np.uint8) * np.uint8(255), "mono8", Header())
    return message


def region_array_message(regions: Sequence[Region], size: Size, header: Header, with_masks: bool = True) -> RegionArray:
    """What a detector publishes for an image of `size` with this header."""
    messages = [region_message(region, with_masks) for region in regions]
    return RegionArray(header=header, width=size[0], height=size[1], regions=messages)


def image_message(pixels: NDArray[np.generic], encoding: str, header: Header) -> Image:
    """pixels: (H, W) or (H, W, C) of the encoding's type."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height
    message.data = as_bytes(pixels)
    return message


def as_bytes(values: NDArray[Any]) -> array.array[int]:
    """Data field of a message; rclpy copies it as it is, but looks at each element of an ndarray (300 ms an image)."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).tobytes())
    return data


def geometry_message(extent: Extent) -> RegionGeometry:
    """Where a region is in space."""
    return RegionGeometry(
        header=header_message(extent.frame_id, extent.stamp_ns),
        centroid=_point(extent.centroid),
        box_centre=_point(extent.centre),
        box_size=Vector3(**dict(zip("xyz", extent.size, strict=True))),
        points=extent.points,
    )


def _point(place: Vec3) -> Point:
    return Point(**dict(zip("xyz", place, strict=True)))


def answer_message(answered: AnswerRecord) -> AnswerMessage:
    """An answer with the header of the image it speaks of; plain ints and floats, or rclpy's C code would abort."""
    answer = answered.answer
    return AnswerMessage(
        header=header_message(answered.frame_id, answered.stamp_ns),
        question=answered.question,
        text=answer.text,
        region_ids=list(answered.region_ids),
        geometries=[geometry_message(extent) for extent in answered.extents],
        choices=list(answered.choices),
        choice=int(answer.choice),
        probabilities=[float(p) for p in answer.probabilities],
        confidence=float(answer.confidence),
        complete=answer.complete,
        age=duration_message(answered.age_ns),
        latency=duration_message(answered.latency_ns),
        stamps=[stamp_message(stamp) for stamp in answered.stamps_ns or (answered.stamp_ns,)],
        dialogue=answered.dialogue,
        prompt_tokens=int(answer.prompt_tokens),
        generated_tokens=int(answer.generated_tokens),
    )


def graph_message(graph: SceneGraph) -> SceneGraphMessage:
    """A scene graph with the header of its image."""
    return SceneGraphMessage(
        header=header_message(graph.frame_id, graph.stamp_ns),
        region_ids=list(graph.region_ids),
        predicates=list(graph.predicates),
        threshold=float(graph.threshold),
        relations=[
            RelationMessage(
                subject=one.subject, predicate=one.predicate, object=one.object, probability=float(one.probability)
            )
            for one in graph.relations
        ],
        asked=graph.asked,
        skipped=graph.skipped,
        complete=graph.skipped == 0,
        latency=duration_message(graph.latency_ns),
    )


def track_message(track: Track, state: TrackState) -> TrackMessage:
    """One object over time."""
    return TrackMessage(
        id=track.id,
        detector_id=track.detector_id,
        label=track.label,
        score=float(track.score),
        state=int(state),
        first_seen=stamp_message(track.first_ns),
        last_seen=stamp_message(track.last_ns),
        frames=track.frames,
    )
