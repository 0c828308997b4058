# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters: what comes in, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.settings.declare import ANY_TIME, parameter

REGIONS_TYPES = ("gar_ros/RegionArray", "vision_msgs/Detection2DArray", "yolo_msgs/DetectionArray")
"""Message types of topic `regions`; messages/detections.py reads those of detectors."""


@dataclass(frozen=True)
class InputSettings:
    """What comes in, and how."""

    image_transport: str = parameter(
        "raw",
        "how the camera image comes; raw: on topic `image`; compressed: as JPEG or PNG on `<image>/compressed`",
        choices=("raw", "compressed"),
    )
    regions_type: str = parameter(
        "gar_ros/RegionArray",
        "message type of topic `regions`; a detector's own type needs its message package installed",
        choices=REGIONS_TYPES,
    )
    regions_masks: str = parameter(
        "own",
        "masks of a Detection2DArray or DetectionArray; own: the message's polygons, else its boxes; instances: the "
        "pixels that carry the region's id in the label image of the same stamp",
        choices=("own", "instances"),
    )
    label_packing: str = parameter(
        "none",
        "what a pixel of a label image holds; none: the region's id; class_instance: `class << instance_bits | "
        "instance`, where instances are counted anew in each image and so are no ids",
        choices=("none", "class_instance"),
    )
    instance_bits: int = parameter(
        16, "number of lowest bits of a packed label that are the instance; instance 0 is background", "bits", (1, 31)
    )
    class_names: tuple[str, ...] = parameter(
        ("",),
        "labels of the classes of a packed label image, from class 0 on; where one is empty or missing, the label is "
        "the number",
        gaps=True,
    )
    reliability: str = parameter(
        "auto",
        "reliability of the node's subscriptions; auto: reliable where all publishers are, else best_effort",
        choices=("auto", "best_effort", "reliable"),
    )
    check_period: float = parameter(
        5.0, "time between log messages that say why no images and regions pair up", "s", (0.5, 3600.0)
    )


@dataclass(frozen=True)
class SyncSettings:
    """How images and regions pair by their stamps."""

    policy: str = parameter(
        "exact",
        "how images and regions pair; exact: by equal stamps; approximate: by the nearest stamps within `sync.slop`",
        choices=("exact", "approximate"),
    )
    slop: float = parameter(
        0.05, "largest difference of the stamps in an approximate pair of image and regions", "s", (0.001, 10.0)
    )
    queue_size: int = parameter(
        30, "number of images that wait for their regions: detector latency x image rate", limits=(1, 1000)
    )


@dataclass(frozen=True)
class TrackingSettings:
    """Which region continues which."""

    method: str = parameter(
        "detector",
        "how regions are followed over images; detector: by the detector's ids; similari: by their boxes",
        choices=("detector", "similari"),
    )
    lost_after: float = parameter(
        2.0, "time unseen after which a region that comes back is another object", "s", (0.01, 3600.0)
    )
    max_idle: int = parameter(
        30, "number of images without a sighting that end a track of method similari", limits=(1, 10000)
    )
    min_overlap: float = parameter(
        0.1, "least overlap of a box with its track's expected box in method similari", "IoU", (0.01, 1.0)
    )
    confirm_after: int = parameter(
        1, "number of images that must show a region before it is more than tentative", limits=(1, 1000)
    )
    tracks_kept: int = parameter(200, "number of regions remembered, in view or not", limits=(1, 10000))
    images_kept: int = parameter(
        5, "number of last images kept for questions about regions out of view", limits=(0, 1000)
    )


@dataclass(frozen=True)
class PastSettings:
    """Images kept for questions about the past."""

    rate: float = parameter(2.0, "rate at which images are kept for questions about the past", "Hz", (0.01, 60.0))
    images_kept: int = parameter(10, "number of images kept for questions about the past", limits=(0, 1000))
    slop: float = parameter(
        0.5,
        "largest difference between the time asked about and the stamp of the past image that answers",
        "s",
        (0.001, 60.0),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class DepthSettings:
    """Where places in space come from."""

    source: str = parameter(
        "image",
        "where places in space come from; image: topics `depth` and `camera_info`; points: topic `points`; none: "
        "there are no places",
        choices=("image", "points", "none"),
    )
    image_transport: str = parameter(
        "raw",
        "how depth images come; raw: on topic `depth`; compressedDepth: as PNG or RVL on `<depth>/compressedDepth`",
        choices=("raw", "compressedDepth"),
    )
    rectified: str = parameter(
        "auto",
        "whether image and depth are rectified; always: P of `camera_info` describes them; never: K and D do; auto: as "
        "always if one of the last two names in topic `image` or `depth` has the word rect, rectified or undistorted, "
        "for example image_rect_color, else as never",
        choices=("auto", "always", "never"),
    )
    slop: float = parameter(0.05, "largest difference of the stamps of an image and its depth", "s", (0.0, 10.0))
    max_wait: float = parameter(
        0.2,
        "longest time that an answer waits for the depth of its image and for the transformation to "
        "`depth.target_frame`; 0: not at all",
        "s",
        (0.0, 10.0),
    )
    images_kept: int = parameter(
        10, "number of newest depth images or clouds kept, and of those that answers used", limits=(1, 1000)
    )
    target_frame: str = parameter(
        "", "frame of places in space, needs tf2; empty: the optical frame in which they were measured"
    )
