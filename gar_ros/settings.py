"""Every parameter of the node, declared once: type, default, range, unit and meaning. No ROS."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any

from gar_ros.engine.runtime.select import PROVIDERS

REGIONS_TYPES = ("gar_ros/RegionArray", "vision_msgs/Detection2DArray", "yolo_msgs/DetectionArray")
"""What detectors publish, as in detectors.py."""

Value = bool | int | float | str | tuple[str, ...]

AT_START, UNCONFIGURED, ANY_TIME = "at start", "unconfigured", "any time"
"""When a parameter can get another value: only from file and command line, before configure (again), always."""


def _parameter(
    default: Value,
    meaning: str,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    changes: str = UNCONFIGURED,
) -> Any:
    """limits: smallest and largest value. changes: when another value is accepted."""
    metadata = {"meaning": meaning, "unit": unit, "limits": limits, "choices": choices, "changes": changes}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The parameters' values."""

    autostart: bool = _parameter(
        True, "configure and activate at start; false: wait for lifecycle transitions", changes=AT_START
    )
    model: str = _parameter("", "folder made by `gar export`; empty: the shipped gar-tiny")
    provider: str = _parameter(
        "auto",
        "what runs the model; auto: TensorRT where its engines were built, else CUDA where it works, else CPU",
        choices=PROVIDERS,
    )
    engines: str = _parameter("", "folder of TensorRT engines; empty: where `gar build-engine` puts them")
    build_engines: bool = _parameter(False, "build missing TensorRT engines while configuring, which takes minutes")
    allow_fallback: bool = _parameter(False, "run on the CPU where the provider that was asked for can't")
    threads: int = _parameter(0, "CPU threads of the model; 0: all cores", limits=(0, 256))
    max_tiles: int = _parameter(
        0, "tiles an image is cut into at most; 0: the model's limit", "", (0, 64), changes=ANY_TIME
    )
    max_tokens: int = _parameter(
        128, "length of free text where a request sets none", "tokens", (1, 1024), changes=ANY_TIME
    )
    default_timeout: float = _parameter(30.0, "time for a request that sets none", "s", (0.1, 3600.0), changes=ANY_TIME)
    max_age: float = _parameter(
        2.0, "oldest image that serves where a request sets none", "s", (0.01, 1e5), changes=ANY_TIME
    )
    queue_size: int = _parameter(
        8, "requests that may wait for the model; more are refused", "", (1, 64), changes=AT_START
    )
    frames_kept: int = _parameter(10, "newest images, newest pairs and used frames, of each", limits=(1, 1000))
    encoded_kept: int = _parameter(2, "encoded (image, regions) that are kept with their KV cache", limits=(1, 100))
    features: str = _parameter(
        "exact",
        "exact: only the regions asked about are prompted, one vision pass for each choice of them; "
        "shared: all regions of a keyframe are, one pass serves every question about it",
        choices=("exact", "shared"),
    )
    keyframe_rate: float = _parameter(
        1.0,
        "keyframes with shared features, beside those for new and changed regions; 0: none but asked ones",
        "Hz",
        (0.0, 60.0),
    )
    keyframe_change: float = _parameter(
        0.6, "a box that overlaps less with that of the last keyframe asks for another one", "IoU", (0.0, 1.0)
    )
    keyframe_lag: float = _parameter(
        0.5,
        "a keyframe serves instead of an image that is newer by at most this; 0: always the newest image",
        "s",
        (0.0, 60.0),
        changes=ANY_TIME,
    )
    features_per_region: int = _parameter(8, "keyframes whose features of one region are kept", limits=(1, 1000))
    features_memory: int = _parameter(256, "features that are kept, of all keyframes", "MiB", (1, 65536))
    features_age: float = _parameter(60.0, "features of older keyframes are forgotten", "s", (0.1, 1e5))
    predicates: tuple[str, ...] = _parameter(
        ("on top of", "inside", "touching", "to the left of", "in front of"),
        'relations of the scene graph where a request names none; asked as "Is A ... B?"',
        changes=ANY_TIME,
    )
    graph_threshold: float = _parameter(
        0.5, "least probability of a relation in the scene graph", "", (0.001, 1.0), changes=ANY_TIME
    )
    graph_pairs: int = _parameter(
        90, "ordered pairs of regions in the scene graph, nearest in the image first", "", (2, 10000), changes=ANY_TIME
    )
    graph_rate: float = _parameter(
        0.5,
        "graphs on ~/scene_graph at most, while someone subscribes and no request waits; 0: none",
        "Hz",
        (0.0, 30.0),
    )
    dialogues_kept: int = _parameter(8, "conversations that can go on, each with its KV cache", limits=(1, 1000))
    dialogue_expiry: float = _parameter(120.0, "a conversation ends so long after its last turn", "s", (0.1, 1e5))
    answers_kept: int = _parameter(32, "answers on ~/answers and on the overlay", limits=(1, 1000))
    image_transport: str = _parameter(
        "raw",
        "how the camera image comes; compressed: JPEG or PNG on `<image>/compressed`",
        choices=("raw", "compressed"),
    )
    regions_type: str = _parameter(
        "gar_ros/RegionArray",
        "message type of topic `regions`; a detector's own where its message package is installed",
        choices=REGIONS_TYPES,
    )
    regions_masks: str = _parameter(
        "own",
        "masks of a Detection2DArray or DetectionArray; own: its polygons, else boxes; instances: the pixels with the "
        "region's id in the label image of the same stamp",
        choices=("own", "instances"),
    )
    sync: str = _parameter("exact", "how images and regions pair by their stamps", choices=("exact", "approximate"))
    sync_slop: float = _parameter(0.05, "approximate pairs have stamps less than this apart", "s", (0.001, 10.0))
    sync_queue: int = _parameter(30, "images that wait for their regions; detector latency x rate", limits=(1, 1000))
    tracking: str = _parameter(
        "detector",
        "who says which region continues which; detector: its ids are kept; similari: boxes are associated",
        choices=("detector", "similari"),
    )
    track_lost: float = _parameter(
        2.0, "an id that was not seen for longer comes back as another object", "s", (0.01, 3600.0)
    )
    track_idle: int = _parameter(30, "similari: images without a sighting that end a track", limits=(1, 10000))
    track_overlap: float = _parameter(
        0.1, "similari: least overlap of a box with where its track is expected", "IoU", (0.01, 1.0)
    )
    track_trusted: int = _parameter(
        1, "images that must show a region before it is more than tentative", limits=(1, 1000)
    )
    tracks_kept: int = _parameter(200, "regions that are remembered, in view or not", limits=(1, 10000))
    lost_images: int = _parameter(5, "last images of regions that are out of view", limits=(0, 1000))
    past_rate: float = _parameter(2.0, "images kept for questions about the past", "Hz", (0.01, 60.0))
    past_kept: int = _parameter(10, "such images", limits=(0, 1000))
    past_slop: float = _parameter(
        0.5,
        "how far from its time an image of the past may be",
        "s",
        (0.001, 60.0),
        changes=ANY_TIME,
    )
    depth: str = _parameter(
        "image",
        "where places in space come from: topic `depth` with `camera_info`, topic `points`, or nowhere",
        choices=("image", "points", "none"),
    )
    depth_slop: float = _parameter(0.05, "stamps of image and depth differ at most by this", "s", (0.0, 10.0))
    depth_kept: int = _parameter(10, "newest depth images or clouds, and used ones", limits=(1, 1000))
    target_frame: str = _parameter("", "frame of places in space, needs tf2; empty: as measured (optical frame)")
    reliability: str = _parameter(
        "auto",
        "of the subscriptions; auto: as their publishers, so that all match and few large images are lost",
        choices=("auto", "best_effort", "reliable"),
    )
    input_check_period: float = _parameter(5.0, "how often the log says why no pairs arrive", "s", (0.5, 3600.0))
    diagnostics_rate: float = _parameter(1.0, "messages on /diagnostics; 0: none", "Hz", (0.0, 10.0), changes=AT_START)
    overlay_rate: float = _parameter(5.0, "pictures on ~/overlay at most; 0: none", "Hz", (0.0, 60.0))


def refusal(parameter: Field[Any], value: Any) -> str:
    """Why `value` can't be this field of Settings: what was expected and what came; empty when it can."""
    kind, limits, choices = type(parameter.default), parameter.metadata["limits"], parameter.metadata["choices"]
    if kind is tuple:
        texts = isinstance(value, (list, tuple)) and all(isinstance(one, str) and one.strip() for one in value)
        return "" if texts and len(value) else f"{parameter.name}: expected texts, none empty, got {value!r}"
    # A float written without its point in a YAML file is an integer to ROS.
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"{parameter.name}: expected a {kind.__name__}, got {value!r}"
    if limits and not limits[0] <= value <= limits[1]:
        return f"{parameter.name}: expected {limits[0]:g} to {limits[1]:g}, got {value!r}"
    if choices and value not in choices:
        return f"{parameter.name}: expected one of {', '.join(choices)}, got {value!r}"
    return ""
