# SPDX-License-Identifier: Apache-2.0
"""Answers, scene graphs and tracks as the node publishes them."""

from __future__ import annotations

from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.scene_graph import SceneGraph
from gar_ros.memory.tracks import Track, TrackState
from gar_ros.messages.headers import duration_message, header_message, stamp_message
from gar_ros.messages.regions import geometry_message
from gar_ros.msg import Answer as AnswerMessage
from gar_ros.msg import Relation as RelationMessage
from gar_ros.msg import SceneGraph as SceneGraphMessage
from gar_ros.msg import Track as TrackMessage


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
