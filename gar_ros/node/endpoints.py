# SPDX-License-Identifier: Apache-2.0
"""The node's topics and services, named once."""

from __future__ import annotations

from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from gar_ros.action import AskRegions
from gar_ros.msg import AnswerArray, RegionArray, SceneGraph, TrackArray
from gar_ros.srv import DescribeRegions, FindRegions, GetSceneGraph, ListRegions, QueryRegions

NODE_NAME = "gar"


class Endpoint(NamedTuple):
    """A topic or service; names that start with ~/ get the node's name."""

    name: str
    type: Any
    meaning: str

    @property
    def type_name(self) -> str:
        """As in `ros2 interface show`."""
        package, kind = self.type.__module__.split(".")[:2]
        return f"{package}/{kind}/{self.type.__name__}"


class Camera(NamedTuple):
    """One of several cameras by its name; the only one may have none."""

    name: str = ""

    def of(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint of this camera: `~/front/overlay` for `~/overlay`, `front/image` for `image`."""
        if not self.name or endpoint.name.startswith("/"):
            return endpoint
        private, own = endpoint.name.startswith("~/"), endpoint.name.removeprefix("~/")
        return endpoint._replace(name=f"{'~/' if private else ''}{self.name}/{own}")

    def door(self, what: str) -> str:
        """What log and diagnostics call something of this camera."""
        return f"{what} of camera {self.name}" if self.name else what


IMAGE = Endpoint(
    "image", Image, "camera image: rgb, bgr, rgba, bgra, mono or Bayer of 8 or 16 bits, YUV 4:2:2, nv12, nv21"
)
REGIONS = Endpoint("regions", RegionArray, "what a detector found in an image, with that image's stamp")
INSTANCES = Endpoint(
    "instances",
    Image,
    "the same as a label image (mono8, mono16, 8UC1, 16UC1, 32SC1, 32UC1): one region per value above 0",
)
DEPTH = Endpoint("depth", Image, "depth registered to the image (32FC1 in metres or 16UC1 in millimetres)")
CAMERA_INFO = Endpoint("camera_info", CameraInfo, "the camera of image and depth")
POINTS = Endpoint("points", PointCloud2, "instead of `depth`: an organised cloud with the image's rows and columns")
SUBSCRIPTIONS = (IMAGE, REGIONS, INSTANCES, DEPTH, CAMERA_INFO, POINTS)

OVERLAY = Endpoint(
    "~/overlay", Image, "the newest image with its regions and answers drawn on it, while someone subscribes"
)
ANSWERS = Endpoint("~/answers", AnswerArray, "the newest answers (latched)")
MARKERS = Endpoint(
    "~/markers",
    MarkerArray,
    "box and label of every region in space, arrows for their relations, while someone subscribes",
)
CLOUD = Endpoint("~/cloud", PointCloud2, "surface points of the regions in their colours, while someone subscribes")
GRAPH = Endpoint("~/scene_graph", SceneGraph, "relations between the regions of the newest image (latched)")
DIAGNOSTICS = Endpoint(
    "/diagnostics", DiagnosticArray, "state, model, latencies, queue, drops, unpaired images, memory"
)
TRACKS = Endpoint("~/tracks", TrackArray, "all regions that are remembered, with state and history (latched)")
PUBLICATIONS = (OVERLAY, ANSWERS, MARKERS, CLOUD, GRAPH, TRACKS, DIAGNOSTICS)

QUERY = Endpoint("~/query_regions", QueryRegions, "one question about one or several regions")
DESCRIBE = Endpoint("~/describe_regions", DescribeRegions, "each region in the model's own words")
LIST = Endpoint("~/list_regions", ListRegions, "the regions that can be asked about")
GET_GRAPH = Endpoint("~/get_scene_graph", GetSceneGraph, "which relations hold between regions, with probabilities")
FIND = Endpoint("~/find_regions", FindRegions, "which regions fit some words, with probabilities")
SERVICES = (QUERY, DESCRIBE, LIST, GET_GRAPH, FIND)

ASK = Endpoint("~/ask_regions", AskRegions, "the same question, answered while it is written; can be cancelled")
ACTIONS = (ASK,)
