# SPDX-License-Identifier: Apache-2.0
"""What the tools return: the node's messages as values that JSON can hold. Their fields' meanings are in the schema."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from builtin_interfaces.msg import Time
from pydantic import BaseModel, Field

from gar_ros.msg import Answer, Region, RegionGeometry, SceneGraph, Track
from gar_ros.srv import FindRegions, ListRegions

MOST_REGIONS, MOST_FACTS, LONGEST_LABEL = 100, 500, 200
_STATES = {Track.TENTATIVE: "tentative", Track.CONFIRMED: "confirmed", Track.COASTING: "coasting", Track.LOST: "lost"}
STAMP = "stamp of the image, in seconds; pass it on to ask about the same image"


class Box(BaseModel):
    """Tight bounds of a region, in pixels of the image."""

    x: int
    y: int
    width: int
    height: int


class Place(BaseModel):
    """Where the visible surface of a region is, in metres along the axes of a coordinate frame."""

    frame_id: str
    centroid: tuple[float, float, float]
    box_centre: tuple[float, float, float]
    box_size: tuple[float, float, float]


class SeenRegion(BaseModel):
    """One object in the image."""

    id: str = Field(description="names the region in questions")
    label: str = Field(description="the detector's class name; empty when it gave none")
    score: float | None = Field(description="the detector's confidence, 0 to 1")
    box: Box
    place: Place | None = Field(description="null where depth is not known")


class UnseenRegion(BaseModel):
    """One object that earlier images showed."""

    id: str
    label: str
    state: str = Field(description="coasting: it may come back under this id; lost: it won't")
    unseen_seconds: float


class Regions(BaseModel):
    """What can be asked about."""

    stamp: str = Field(description=STAMP)
    frame_id: str
    age_seconds: float
    regions: list[SeenRegion]
    unseen: list[UnseenRegion] = Field(description="remembered regions that the image doesn't show")
    left_out: int = Field(description=f"number of those beyond the first {MOST_REGIONS} of each list")


class Reply(BaseModel):
    """An answer about regions of one image."""

    text: str = Field(description="the answer; for a closed question the chosen choice")
    probabilities: dict[str, float] = Field(description="of each choice; empty for an open question")
    confidence: float | None = Field(description="0 to 1")
    complete: bool = Field(description="false when the text was cut at max_tokens")
    region_ids: list[str]
    places: dict[str, Place] = Field(description="by region id, where depth is known")
    stamp: str = Field(description=STAMP)
    frame_id: str
    age_seconds: float = Field(description="age of the image when work began")


class Fact(BaseModel):
    """That a relation holds between two regions."""

    subject: str
    predicate: str
    object: str
    probability: float


class Graph(BaseModel):
    """The relations that hold between regions of one image."""

    stamp: str = Field(description=STAMP)
    frame_id: str
    region_ids: list[str]
    facts: list[Fact]
    asked: int = Field(description="number of pairs and predicates that were scored")
    skipped: int = Field(description="number of those that were not, for lack of time")
    left_out: int = Field(description=f"number of facts beyond the {MOST_FACTS} most probable ones")


class FoundRegion(BaseModel):
    """One region that fits the words."""

    id: str
    probability: float = Field(description="0 to 1, that the words describe it")
    other_id: str = Field(description="the other object where the words name two; else empty")
    out_of_view: bool = Field(description="the newest image doesn't show it; its stamp is that of an older one")
    stamp: str = Field(description=STAMP)
    place: Place | None = Field(description="null where depth is not known")


class FoundRegions(BaseModel):
    """The regions that fit some words, the most probable first; none when the words fit none."""

    stamp: str = Field(description=STAMP)
    frame_id: str
    regions: list[FoundRegion]
    asked: int = Field(description="number of candidates, or of pairs of them, that were scored")
    skipped: int = Field(description="number of those that were not, for lack of time")


def regions_of(response: ListRegions.Response) -> Regions:
    """Of a reply of list_regions."""
    seen = {region.id for region in response.regions}
    newest = seconds(response.header.stamp)
    unseen = [track for track in response.tracks if track.id not in seen]
    longer = (response.regions, unseen)
    return Regions(
        stamp=stamp_text(response.header.stamp),
        frame_id=response.header.frame_id,
        age_seconds=rounded(seconds(response.age)),
        regions=[_seen(region) for region in response.regions[:MOST_REGIONS]],
        unseen=[_unseen(track, newest) for track in unseen[:MOST_REGIONS]],
        left_out=sum(max(len(one) - MOST_REGIONS, 0) for one in longer),
    )


def reply_of(answer: Answer) -> Reply:
    """Of one answer."""
    places = zip(answer.region_ids, map(place_of, answer.geometries), strict=False)
    chances = zip(answer.choices, answer.probabilities, strict=True)
    return Reply(
        text=answer.text,
        probabilities={choice: rounded(chance) for choice, chance in chances},
        confidence=known(answer.confidence),
        complete=answer.complete,
        region_ids=list(answer.region_ids),
        places={region_id: place for region_id, place in places if place is not None},
        stamp=stamp_text(answer.header.stamp),
        frame_id=answer.header.frame_id,
        age_seconds=rounded(seconds(answer.age)),
    )


def graph_of(graph: SceneGraph) -> Graph:
    """Of a scene graph; of more than MOST_FACTS relations the most probable, in the graph's order."""
    ranked = sorted(graph.relations, key=lambda relation: -relation.probability)
    least = ranked[MOST_FACTS - 1].probability if len(ranked) > MOST_FACTS else -1.0
    kept = [relation for relation in graph.relations if relation.probability >= least][:MOST_FACTS]
    return Graph(
        stamp=stamp_text(graph.header.stamp),
        frame_id=graph.header.frame_id,
        region_ids=list(graph.region_ids),
        facts=[
            Fact(subject=r.subject, predicate=r.predicate, object=r.object, probability=rounded(r.probability))
            for r in kept
        ],
        asked=graph.asked,
        skipped=graph.skipped,
        left_out=len(graph.relations) - len(kept),
    )


def found_of(response: FindRegions.Response) -> FoundRegions:
    """Of a reply of find_regions."""
    return FoundRegions(
        stamp=stamp_text(response.header.stamp),
        frame_id=response.header.frame_id,
        regions=[
            FoundRegion(
                id=one.id,
                probability=rounded(one.probability),
                other_id=one.other_id,
                out_of_view=one.out_of_view,
                stamp=stamp_text(one.header.stamp),
                place=place_of(one.geometry),
            )
            for one in response.regions
        ],
        asked=response.asked,
        skipped=response.skipped,
    )


def place_of(geometry: RegionGeometry) -> Place | None:
    """None where depth is not known."""
    if not geometry.points:
        return None
    points = (geometry.centroid, geometry.box_centre, geometry.box_size)
    centroid, centre, size = ((rounded(one.x), rounded(one.y), rounded(one.z)) for one in points)
    return Place(frame_id=geometry.header.frame_id, centroid=centroid, box_centre=centre, box_size=size)


def stamp_text(stamp: Time) -> str:
    """Seconds with nine decimals: exact, as a JSON number would not be."""
    return f"{stamp.sec}.{stamp.nanosec:09d}"


def stamp_of(text: str) -> Time | None:
    """The stamp of `stamp_text`; None for an empty text."""
    if not text:
        return None
    whole, _, decimals = text.partition(".")
    return Time(sec=int(whole), nanosec=int(decimals))


def seconds(time: Any) -> float:
    """Of a Time or a Duration."""
    return float(time.sec + time.nanosec * 1e-9)


def rounded(number: float) -> float:
    """With four decimals: tenths of millimetres, or of thousandths of probability."""
    return round(float(number), 4)


def known(number: float) -> float | None:
    """None for NaN, which JSON has not."""
    return None if math.isnan(number) else rounded(number)


def label_of(text: str) -> str:
    """A detector's label, not endless."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 2]}.."


def _seen(region: Region) -> SeenRegion:
    box = region.box
    return SeenRegion(
        id=region.id,
        label=label_of(region.label),
        score=known(region.score),
        box=Box(x=box.x_offset, y=box.y_offset, width=box.width, height=box.height),
        place=place_of(region.geometry),
    )


def _unseen(track: Track, newest: float) -> UnseenRegion:
    unseen = rounded(max(newest - seconds(track.last_seen), 0.0))
    return UnseenRegion(
        id=track.id, label=label_of(track.label), state=_STATES.get(track.state, "unknown"), unseen_seconds=unseen
    )


def replies_of(answers: Sequence[Answer]) -> list[Reply]:
    """Of descriptions, one for each region."""
    return [reply_of(answer) for answer in answers]
