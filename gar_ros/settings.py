"""Every parameter of the node, declared once: type, default, range, unit and meaning. No ROS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
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
class RuntimeSettings:
    """What runs the model."""

    provider: str = _parameter(
        "auto",
        "what runs the model; auto: TensorRT where its engines were built, else CUDA where it works, else CPU",
        choices=PROVIDERS,
    )
    engines: str = _parameter("", "folder of TensorRT engines; empty: where `gar build-engine` puts them")
    build_engines: bool = _parameter(False, "build missing TensorRT engines while configuring, which takes minutes")
    allow_fallback: bool = _parameter(False, "run on the CPU where the provider that was asked for can't")
    threads: int = _parameter(0, "CPU threads of the model; 0: all cores", limits=(0, 256))


@dataclass(frozen=True)
class RequestSettings:
    """What holds for a request that says nothing else."""

    max_tiles: int = _parameter(
        0, "tiles an image is cut into at most; 0: the model's limit", "", (0, 64), changes=ANY_TIME
    )
    max_tokens: int = _parameter(
        128, "length of free text where a request sets none", "tokens", (1, 1024), changes=ANY_TIME
    )
    timeout: float = _parameter(30.0, "time for a request that sets none", "s", (0.1, 3600.0), changes=ANY_TIME)
    max_age: float = _parameter(
        2.0, "oldest image that serves where a request sets none", "s", (0.01, 1e5), changes=ANY_TIME
    )
    queue_size: int = _parameter(
        8, "requests that may wait for the model; more are refused", "", (1, 64), changes=AT_START
    )


@dataclass(frozen=True)
class MemorySettings:
    """How much is remembered."""

    frames_kept: int = _parameter(10, "newest images, newest pairs and used frames, of each", limits=(1, 1000))
    encoded_kept: int = _parameter(2, "encoded (image, regions) that are kept with their KV cache", limits=(1, 100))
    answers_kept: int = _parameter(32, "answers on ~/answers and on the overlay", limits=(1, 1000))


@dataclass(frozen=True)
class FeaturesSettings:
    """How features are made and kept."""

    mode: str = _parameter(
        "exact",
        "exact: only the regions asked about are prompted, one vision pass for each choice of them; "
        "shared: all regions of a keyframe are, one pass serves every question about it",
        choices=("exact", "shared"),
    )
    per_region: int = _parameter(8, "keyframes whose features of one region are kept", limits=(1, 1000))
    memory: int = _parameter(256, "features that are kept, of all keyframes", "MiB", (1, 65536))
    max_age: float = _parameter(60.0, "features of older keyframes are forgotten", "s", (0.1, 1e5))


@dataclass(frozen=True)
class KeyframeSettings:
    """When an image becomes a keyframe; used with shared features."""

    rate: float = _parameter(
        1.0,
        "keyframes with shared features, beside those for new and changed regions; 0: none but asked ones",
        "Hz",
        (0.0, 60.0),
    )
    min_overlap: float = _parameter(
        0.6, "a box that overlaps less with that of the last keyframe asks for another one", "IoU", (0.0, 1.0)
    )
    max_lag: float = _parameter(
        0.5,
        "a keyframe serves instead of an image that is newer by at most this; 0: always the newest image",
        "s",
        (0.0, 60.0),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class GraphSettings:
    """The scene graph."""

    predicates: tuple[str, ...] = _parameter(
        ("on top of", "inside", "touching", "to the left of", "in front of"),
        'relations of the scene graph where a request names none; asked as "Is A ... B?"',
        changes=ANY_TIME,
    )
    threshold: float = _parameter(
        0.5, "least probability of a relation in the scene graph", "", (0.001, 1.0), changes=ANY_TIME
    )
    max_pairs: int = _parameter(
        90, "ordered pairs of regions in the scene graph, nearest in the image first", "", (2, 10000), changes=ANY_TIME
    )
    rate: float = _parameter(
        0.5,
        "graphs on ~/scene_graph at most, while someone subscribes and no request waits; 0: none",
        "Hz",
        (0.0, 30.0),
    )


@dataclass(frozen=True)
class DialogueSettings:
    """Conversations."""

    kept: int = _parameter(8, "conversations that can go on, each with its KV cache", limits=(1, 1000))
    expiry: float = _parameter(120.0, "a conversation ends so long after its last turn", "s", (0.1, 1e5))


@dataclass(frozen=True)
class InputSettings:
    """What comes in, and how."""

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
    reliability: str = _parameter(
        "auto",
        "of the subscriptions; auto: as their publishers, so that all match and few large images are lost",
        choices=("auto", "best_effort", "reliable"),
    )
    check_period: float = _parameter(5.0, "how often the log says why no pairs arrive", "s", (0.5, 3600.0))


@dataclass(frozen=True)
class SyncSettings:
    """How images and regions pair by their stamps."""

    policy: str = _parameter("exact", "how images and regions pair by their stamps", choices=("exact", "approximate"))
    slop: float = _parameter(0.05, "approximate pairs have stamps less than this apart", "s", (0.001, 10.0))
    queue_size: int = _parameter(30, "images that wait for their regions; detector latency x rate", limits=(1, 1000))


@dataclass(frozen=True)
class TrackingSettings:
    """Which region continues which."""

    method: str = _parameter(
        "detector",
        "who says which region continues which; detector: its ids are kept; similari: boxes are associated",
        choices=("detector", "similari"),
    )
    lost_after: float = _parameter(
        2.0, "an id that was not seen for longer comes back as another object", "s", (0.01, 3600.0)
    )
    max_idle: int = _parameter(30, "similari: images without a sighting that end a track", limits=(1, 10000))
    min_overlap: float = _parameter(
        0.1, "similari: least overlap of a box with where its track is expected", "IoU", (0.01, 1.0)
    )
    confirm_after: int = _parameter(
        1, "images that must show a region before it is more than tentative", limits=(1, 1000)
    )
    tracks_kept: int = _parameter(200, "regions that are remembered, in view or not", limits=(1, 10000))
    images_kept: int = _parameter(5, "last images of regions that are out of view", limits=(0, 1000))


@dataclass(frozen=True)
class PastSettings:
    """Images kept for questions about the past."""

    rate: float = _parameter(2.0, "images kept for questions about the past", "Hz", (0.01, 60.0))
    kept: int = _parameter(10, "such images", limits=(0, 1000))
    slop: float = _parameter(
        0.5,
        "how far from its time an image of the past may be",
        "s",
        (0.001, 60.0),
        changes=ANY_TIME,
    )


@dataclass(frozen=True)
class DepthSettings:
    """Where places in space come from."""

    source: str = _parameter(
        "image",
        "where places in space come from: topic `depth` with `camera_info`, topic `points`, or nowhere",
        choices=("image", "points", "none"),
    )
    slop: float = _parameter(0.05, "stamps of image and depth differ at most by this", "s", (0.0, 10.0))
    kept: int = _parameter(10, "newest depth images or clouds, and used ones", limits=(1, 1000))
    target_frame: str = _parameter("", "frame of places in space, needs tf2; empty: as measured (optical frame)")


@dataclass(frozen=True)
class DiagnosticsSettings:
    """The topic /diagnostics."""

    rate: float = _parameter(1.0, "messages on /diagnostics; 0: none", "Hz", (0.0, 10.0), changes=AT_START)


@dataclass(frozen=True)
class OverlaySettings:
    """The topic ~/overlay."""

    rate: float = _parameter(5.0, "pictures on ~/overlay at most; 0: none", "Hz", (0.0, 60.0))


@dataclass(frozen=True)
class BondSettings:
    """The bond to Nav2's lifecycle manager."""

    heartbeat_period: float = _parameter(
        0.0,
        "heartbeats to Nav2's lifecycle manager while active, needs bondpy; 0: no bond, for a manager with "
        "bond_timeout 0.0",
        "s",
        (0.0, 10.0),
    )


@dataclass(frozen=True)
class Settings:
    """The parameters' values: a parameter `group.name` is the field `name` of the group."""

    autostart: bool = _parameter(
        True, "configure and activate at start; false: wait for lifecycle transitions", changes=AT_START
    )
    model: str = _parameter("", "folder made by `gar export`; empty: the shipped gar-tiny")
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    request: RequestSettings = field(default_factory=RequestSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)
    keyframe: KeyframeSettings = field(default_factory=KeyframeSettings)
    graph: GraphSettings = field(default_factory=GraphSettings)
    dialogue: DialogueSettings = field(default_factory=DialogueSettings)
    input: InputSettings = field(default_factory=InputSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    past: PastSettings = field(default_factory=PastSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    diagnostics: DiagnosticsSettings = field(default_factory=DiagnosticsSettings)
    overlay: OverlaySettings = field(default_factory=OverlaySettings)
    bond: BondSettings = field(default_factory=BondSettings)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """From values by parameter name; what is not named has its default. Raises KeyError for another name."""
        unknown = set(values) - set(PARAMETERS)
        if unknown:
            raise KeyError(f"no parameter {sorted(unknown)}")
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, own = name.rpartition(".")
            groups.setdefault(group, {})[own] = tuple(value) if isinstance(value, list) else value
        top = groups.pop("", {})
        defaults = cls()
        return replace(
            defaults, **top, **{name: replace(getattr(defaults, name), **given) for name, given in groups.items()}
        )


def _named(kind: Any, prefix: str = "") -> Iterator[tuple[str, Field[Any]]]:
    """Every parameter below a class of settings, groups first as they are declared."""
    for one in fields(kind):
        if one.metadata:
            yield prefix + one.name, one
        else:
            yield from _named(one.default_factory, f"{prefix}{one.name}.")


PARAMETERS: dict[str, Field[Any]] = dict(_named(Settings))
"""Every parameter's declaration, by its full name."""


def refusal(name: str, value: Any) -> str:
    """Why `value` can't be the parameter of this name: what was expected and what came; empty when it can."""
    parameter = PARAMETERS[name]
    kind, limits, choices = type(parameter.default), parameter.metadata["limits"], parameter.metadata["choices"]
    if kind is tuple:
        texts = isinstance(value, (list, tuple)) and all(isinstance(one, str) and one.strip() for one in value)
        return "" if texts and len(value) else f"{name}: expected texts, none empty, got {value!r}"
    # A float written without its point in a YAML file is an integer to ROS.
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"{name}: expected a {kind.__name__}, got {value!r}"
    if limits and not limits[0] <= value <= limits[1]:
        return f"{name}: expected {limits[0]:g} to {limits[1]:g}, got {value!r}"
    if choices and value not in choices:
        return f"{name}: expected one of {', '.join(choices)}, got {value!r}"
    return ""
