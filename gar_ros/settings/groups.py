# SPDX-License-Identifier: Apache-2.0
"""Groups of parameters: `group.name` is the field `name` of the group's class."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.engine.runtime.select import GONE, PROVIDERS
from gar_ros.settings.declare import ANY_TIME, AT_START, parameter

REGIONS_TYPES = ("gar_ros/RegionArray", "vision_msgs/Detection2DArray", "yolo_msgs/DetectionArray")
"""Message types of topic `regions`; messages/detections.py reads those of detectors."""


@dataclass(frozen=True)
class RuntimeSettings:
    """What runs the model."""

    provider: str = parameter(
        "auto",
        "what runs the model; auto: TensorRT where its engines were built, else CUDA where it works, else the CPU; "
        "openvino: OpenVINO on the CPU",
        choices=PROVIDERS,
        gone=GONE,
    )
    engines: str = parameter(
        "", "folder of TensorRT engines, ~ is expanded; empty: where `gar build-engine` puts them", path=True
    )
    build_engines: bool = parameter(False, "build missing TensorRT engines while configuring, which takes minutes")
    allow_fallback: bool = parameter(False, "run the model on the CPU where the provider that was asked for can't")
    threads: int = parameter(0, "CPU threads of the model; 0: all cores", limits=(0, 256))


@dataclass(frozen=True)
class RequestSettings:
    """What holds for a request that says nothing else."""

    max_tiles: int = parameter(
        0, "largest number of tiles that an image is cut into; 0: the model's limit", "", (0, 64), changes=ANY_TIME
    )
    max_tokens: int = parameter(
        128, "length limit of a free-text answer where the request sets none", "tokens", (1, 1024), changes=ANY_TIME
    )
    timeout: float = parameter(
        30.0, "time limit of a request that sets none itself", "s", (0.1, 3600.0), changes=ANY_TIME
    )
    max_age: float = parameter(
        2.0, "age limit of the newest image where the request sets none", "s", (0.01, 1e5), changes=ANY_TIME
    )
    max_memory: int = parameter(
        0,
        "memory that one request may take in addition to the model's weights; a request that would need more, by an "
        "estimate from the model's sizes, is refused before anything is computed; 0: on the CPU what is available at "
        "that moment, on a GPU no limit",
        "MiB",
        (0, 1048576),
    )
    queue_size: int = parameter(
        8,
        "largest number of service requests that wait for the model, and also of the action's goals, which are counted "
        "separately; further ones are refused",
        "",
        (1, 64),
        changes=AT_START,
    )


@dataclass(frozen=True)
class MemorySettings:
    """How much is remembered."""

    frames_kept: int = parameter(
        10, "number of newest images kept, and as many newest pairs and images last asked about", limits=(1, 1000)
    )
    encoded_kept: int = parameter(
        2, "number of encoded choices of image and regions kept, each with its KV cache", limits=(1, 100)
    )
    max_memory: int = parameter(
        2048,
        "memory limit of encoded tiles, encoded images, keyframes and the KV caches of dialogues together; what "
        "exceeds it is dropped in this order, but the newest of each is always kept",
        "MiB",
        (1, 1048576),
    )
    answers_kept: int = parameter(32, "number of newest answers kept for ~/answers and ~/overlay", limits=(1, 1000))


@dataclass(frozen=True)
class FeaturesSettings:
    """How features are made and kept."""

    mode: str = parameter(
        "exact",
        "exact: only the regions asked about are prompted, one vision pass for each choice of them; "
        "shared: all regions of a keyframe are prompted, one vision pass serves every question about it",
        choices=("exact", "shared"),
    )
    max_per_region: int = parameter(8, "number of keyframes whose features are kept for one region", limits=(1, 1000))
    max_memory: int = parameter(256, "memory limit of the features kept for all keyframes", "MiB", (1, 65536))
    max_age: float = parameter(60.0, "age at which the features of a keyframe are dropped", "s", (0.1, 1e5))


@dataclass(frozen=True)
class KeyframeSettings:
    """When an image becomes a keyframe; used with shared features."""

    rate: float = parameter(
        1.0,
        "rate of keyframes with shared features, besides those for new or changed regions and for questions; 0: none",
        "Hz",
        (0.0, 60.0),
    )
    min_overlap: float = parameter(
        0.6, "a region whose box overlaps less with its box in the last keyframe causes a new one", "IoU", (0.0, 1.0)
    )
    max_lag: float = parameter(
        0.5,
        "a keyframe answers in place of an image that is newer by at most this; 0: always the newest image",
        "s",
        (0.0, 60.0),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class GraphSettings:
    """The scene graph."""

    predicates: tuple[str, ...] = parameter(
        ("on top of", "inside", "touching", "to the left of", "in front of"),
        'relations of the scene graph where the request names none; asked as "Is A ... B?"',
        changes=ANY_TIME,
    )
    threshold: float = parameter(
        0.5, "smallest probability of a relation that the scene graph lists", "", (0.001, 1.0), changes=ANY_TIME
    )
    max_pairs: int = parameter(
        90,
        "largest number of ordered pairs of regions in the scene graph; pairs near in the image come first",
        "",
        (2, 10000),
        changes=ANY_TIME,
    )
    rate: float = parameter(
        0.5,
        "highest rate of graphs, while someone subscribes to ~/scene_graph or ~/markers and no request waits; 0: none",
        "Hz",
        (0.0, 30.0),
    )


@dataclass(frozen=True)
class FindSettings:
    """Searches by words."""

    threshold: float = parameter(
        0.5, "smallest probability of a region that is found by words", "", (0.001, 1.0), changes=ANY_TIME
    )
    max_results: int = parameter(
        10, "largest number of regions that are found by words", "", (1, 10000), changes=ANY_TIME
    )


@dataclass(frozen=True)
class DialogueSettings:
    """Conversations."""

    dialogues_kept: int = parameter(
        8, "number of conversations that can be continued, each with its KV cache", limits=(1, 1000)
    )
    expire_after: float = parameter(120.0, "time after its last turn at which a conversation ends", "s", (0.1, 1e5))


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


@dataclass(frozen=True)
class DiagnosticsSettings:
    """The topic /diagnostics."""

    rate: float = parameter(1.0, "rate of messages on /diagnostics; 0: none", "Hz", (0.0, 10.0), changes=AT_START)


@dataclass(frozen=True)
class OverlaySettings:
    """The topic ~/overlay."""

    rate: float = parameter(5.0, "highest rate of pictures on ~/overlay; 0: none", "Hz", (0.0, 60.0))


@dataclass(frozen=True)
class MarkersSettings:
    """The topic ~/markers."""

    predicates: tuple[str, ...] = parameter(
        ("on top of", "inside", "touching"),
        "relations drawn as arrows on ~/markers; one that `graph.predicates` lacks is not drawn",
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class BondSettings:
    """The bond to Nav2's lifecycle manager."""

    heartbeat_period: float = parameter(
        0.0,
        "time between heartbeats to Nav2's lifecycle manager while the node is active, needs bondpy; 0: no bond, for a "
        "manager with bond_timeout 0.0",
        "s",
        (0.0, 10.0),
    )
