# SPDX-License-Identifier: Apache-2.0
"""`gar annotate` on a recorded tabletop, with the shipped model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from sensor_msgs.msg import Image

from gar_ros.bag.files import BagReader, BagWriter
from gar_ros.cli.main import main
from gar_ros.files import shipped_paths
from gar_ros.messages.regions import region_array_message
from gar_ros.region import Region
from gar_ros.sim.timeline import Timeline
from tests.recorded import FRAME, SEED, record_tabletop

Messages = dict[str, list[tuple[int, Any]]]
"""(logged nanoseconds, message) by topic."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """The bag and its stamps."""
    path = tmp_path_factory.mktemp("bags") / "tabletop"
    return path, record_tabletop(path)


def read(path: Path) -> tuple[Messages, list[Connection]]:
    """A bag through the definitions that it carries itself."""
    messages: Messages = {}
    with AnyReader([path]) as reader:
        for connection, logged, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            messages.setdefault(connection.topic, []).append((logged, message))
        return messages, list(reader.connections)


def stamp_of(header: Any) -> int:
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def test_answers_and_overlays_are_in_a_bag_that_explains_itself(
    recorded: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, stamps = recorded
    out = tmp_path / "answered"
    assert (
        main(["annotate", str(bag), "--out", str(out), "--question", "What colour is <Prompt0>?", "--every", "0"]) == 0
    )
    messages, connections = read(out)
    before, _ = read(bag)
    assert {topic: len(found) for topic, found in messages.items()} == {
        **{topic: len(found) for topic, found in before.items()},
        "/gar/answers": 3,
        "/gar/overlay": 3,
    }
    right = asked = 0
    for stamp, (logged, array) in zip(stamps, messages["/gar/answers"], strict=True):
        assert logged == stamp + 40_000_000  # when image and regions were both there
        for answer in array.answers:
            (region,) = answer.region_ids
            assert (stamp_of(answer.header), answer.header.frame_id) == (stamp, FRAME)
            assert np.isnan(answer.geometries[0].centroid.x)  # no depth was read
            right += answer.text == Timeline(SEED).at(stamp).objects[int(region) - 1].colour
            asked += 1
    assert asked >= 15 and right >= 0.9 * asked
    for (_, picture), (_, overlay) in zip(before["/image"], messages["/gar/overlay"], strict=True):
        assert (overlay.encoding, overlay.height, overlay.width) == ("rgb8", 480, 640)
        changed = np.asarray(picture.data) != np.asarray(overlay.data)
        assert 0.02 < changed.mean() < 0.9
    assert f"{asked} answers about 3 images" in capsys.readouterr().out
    own = {one.topic: one for one in connections if one.msgtype.startswith("gar_ros/")}
    described = next(path for path in shipped_paths("msg/AnswerArray.json") if path.is_file())
    hashes = json.loads(described.read_text())["type_hashes"]
    assert own["/gar/answers"].digest == next(
        one["hash_string"] for one in hashes if one["type_name"] == "gar_ros/msg/AnswerArray"
    )


def test_a_closed_question_about_named_regions(recorded: tuple[Path, list[int]], tmp_path: Path) -> None:
    bag, stamps = recorded
    out = tmp_path / "answered"
    words = ["--question", "Is <Prompt0> inside <Prompt1>?", "--choices", "yes,no", "--region", "5", "--region", "3"]
    assert main(["annotate", str(bag), "--out", str(out), *words, "--every", "1", "--without-input"]) == 0
    messages, _ = read(out)
    assert set(messages) == {"/gar/answers", "/gar/overlay"}
    answers = [array.answers for _, array in messages["/gar/answers"]]
    assert [stamp_of(found[0].header) for found in answers] == stamps[::2]
    for (answer,) in answers:
        assert (list(answer.region_ids), list(answer.choices), answer.text) == (["5", "3"], ["yes", "no"], "yes")
        assert sum(answer.probabilities) == pytest.approx(1.0, abs=1e-5)


def test_an_image_is_answered_once_though_a_detector_and_a_label_image_describe_it(
    recorded: tuple[Path, list[int]], tmp_path: Path
) -> None:
    """As in the node: of the first image the label image came first; after it the detector is known to say more."""
    both, out = tmp_path / "both", tmp_path / "answered"
    whole = Region.from_box("whole", (0, 0, 640, 480), (640, 480))
    with BagReader(recorded[0]) as reader, BagWriter(both) as writer:
        for message in reader.messages():
            writer.copy(message)
            if message.topic == "/instances":
                header = deserialize_message(message.data, Image).header
                writer.write("/regions", region_array_message([whole], (640, 480), header), message.logged_ns + 1)
    words = ["--regions", "/regions", "--instances", "/instances", "--question", "What is <Prompt0>?", "--every", "0"]
    assert main(["annotate", str(both), "--out", str(out), *words, "--without-input"]) == 0
    arrays = [array for _, array in read(out)[0]["/gar/answers"]]
    assert [stamp_of(array.answers[0].header) for array in arrays] == recorded[1]
    assert [{answer.region_ids[0] for answer in array.answers} == {"whole"} for array in arrays] == [False, True, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image", "/camera"], "expected sensor_msgs/Image or sensor_msgs/CompressedImage on topic /camera; the bag"),
        (["--instances", "/note"], "expected sensor_msgs/Image on topic /note; the bag has /image (sensor_msgs/Image)"),
        (["--question", "Is <Prompt1> red?"], "<Prompt1>"),
        (["--choices", "a,b"], "expected a --question"),
        (["--every", "-1"], "expected --every of 0 seconds or more, got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    recorded: tuple[Path, list[int]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    out = tmp_path / "answered"
    assert main(["annotate", str(recorded[0]), "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_a_region_that_an_image_lacks_leaves_the_image_out(
    recorded: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answered"
    words = ["--question", "Is <Prompt0> red?", "--region", "99", "--every", "0"]
    assert main(["annotate", str(recorded[0]), "--out", str(out), *words]) == 1
    assert "3 message(s) left out: region '99' is not in the image" in capsys.readouterr().err
    assert set(read(out)[0]) == {"/image", "/instances", "/note"}


def test_a_broken_message_costs_only_itself(
    recorded: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, out = tmp_path / "broken", tmp_path / "answered"
    with BagReader(recorded[0]) as reader, BagWriter(broken) as writer:
        for number, message in enumerate(reader.messages()):
            writer.copy(message._replace(data=message.data[:40]) if number == 1 else message)
    words = ["--question", "What is <Prompt0>?", "--every", "0", "--without-input"]
    assert main(["annotate", str(broken), "--out", str(out), *words]) == 0
    assert "1 message(s) left out: a message on /image can't be decoded" in capsys.readouterr().err
    assert len(read(out)[0]["/gar/answers"]) == 2


def test_a_detection_that_can_not_be_used_is_told_and_the_others_are_answered(
    recorded: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, out = tmp_path / "odd", tmp_path / "answered"
    regions = [Region.from_box(name, (0, 0, 640, 480), (640, 480)) for name in ("whole", "beyond")]
    with BagReader(recorded[0]) as reader, BagWriter(odd) as writer:
        for message in reader.messages():
            writer.copy(message)
            if message.topic == "/instances":
                header = deserialize_message(message.data, Image).header
                found = region_array_message(regions, (640, 480), header, with_masks=False)
                found.regions[1].box.x_offset = 5000
                writer.write("/regions", found, message.logged_ns + 1)
    words = ["--regions", "/regions", "--question", "What is <Prompt0>?", "--every", "0", "--without-input"]
    assert main(["annotate", str(odd), "--out", str(out), *words]) == 0
    told = capsys.readouterr().err
    assert "3 message(s) on /regions have detections that are left out" in told
    assert "1 of 2 detections are odd: region 'beyond'" in told
    arrays = [array for _, array in read(out)[0]["/gar/answers"]]
    assert [[answer.region_ids[0] for answer in array.answers] for array in arrays] == [["whole"]] * 3


def test_bags_that_are_none_and_folders_that_are_taken_are_refused(
    recorded: tuple[Path, list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "text.mcap").write_text("no bag")
    for bag, out, message in (
        (tmp_path / "nowhere", tmp_path / "new", "which does not exist"),
        (tmp_path / "text.mcap", tmp_path / "new", "expected a rosbag2 bag"),
        (recorded[0], tmp_path / "taken", "expected a new folder for the bag"),
    ):
        assert main(["annotate", str(bag), "--out", str(out)]) == 2
        assert message in capsys.readouterr().err
