# SPDX-License-Identifier: Apache-2.0
"""Bags as recorders of all ages leave them: each is read, or one line says what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer

from gar_ros.bag.libraries import zstd
from tests.bag.small_bags import (
    PERIOD,
    START,
    annotate,
    copied,
    naming_engine,  # noqa: F401, a fixture
    numbers,
    only,
    record,
    scene,
)

pytestmark = pytest.mark.usefixtures("naming_engine")
COUNT = 6
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3


def as_humble(folder: Path, scratch: Path) -> Path:
    """The older scheme: no definitions, no type hashes, another schema version."""
    with sqlite3.connect(only(folder, "*.db3")) as database:
        for command in (
            "DROP TABLE message_definitions",
            "DROP TABLE metadata",
            "ALTER TABLE topics DROP COLUMN type_description_hash",
            "UPDATE schema SET schema_version = 3",
        ):
            database.execute(command)
    about = (folder / "metadata.yaml").read_text()
    lines = [line for line in about.splitlines() if "type_description_hash" not in line and "ros_distro" not in line]
    (folder / "metadata.yaml").write_text("\n".join(lines).replace("version: 9", "version: 5"))
    return folder


def without_metadata(folder: Path, scratch: Path) -> Path:
    (folder / "metadata.yaml").unlink()
    return folder


def single(folder: Path, scratch: Path) -> Path:
    return only(folder, "*_or_not*") if list(folder.glob("*_or_not*")) else only(folder, "bag.*")


def linked(folder: Path, scratch: Path) -> Path:
    (scratch / "link").symlink_to(folder)
    return scratch / "link"


def read_only(folder: Path, scratch: Path) -> Path:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    return folder


def with_odd_name(folder: Path, scratch: Path) -> Path:
    return folder.rename(scratch / "run #3, 50% done?")


def single_with_odd_name(folder: Path, scratch: Path) -> Path:
    file = single(folder, scratch)
    return file.rename(scratch / "run?#3 of drive")


def split(folder: Path, scratch: Path) -> Path:
    """Two files in one folder, listed in metadata.yaml by the first; numbered so that letters sort them wrongly."""
    for number, part in ((9, scene(3)), (10, scene(3, START + 3 * PERIOD, number=4))):
        other = record(scratch / f"part{number}", part, SQLITE if only(folder, "bag.*").suffix == ".db3" else MCAP)
        file = only(other, "part*")
        file.rename(folder / f"drive_{number}{file.suffix}")
    only(folder, "bag.*").unlink()
    (folder / "metadata.yaml").unlink()
    return folder


FORMS: list[Callable[[Path, Path], Path]] = [
    lambda folder, scratch: folder,
    single,
    without_metadata,
    linked,
    read_only,
    with_odd_name,
    single_with_odd_name,
    split,
]
CASES = [
    *((storage, CompressionMode.NONE, form) for storage in (MCAP, SQLITE) for form in FORMS),
    *(
        (MCAP, compression, form)
        for compression in (CompressionMode.STORAGE, CompressionMode.FILE)
        for form in FORMS[:3]
    ),
    *((storage, CompressionMode.MESSAGE, form) for storage in (MCAP, SQLITE) for form in FORMS[:3]),
    *((SQLITE, CompressionMode.FILE, form) for form in FORMS[:3]),
]


@pytest.mark.parametrize(("storage", "compression", "form"), CASES)
def test_every_kind_of_bag_is_read_and_copied(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode, form: Callable[[Path, Path], Path]
) -> None:
    bag = form(record(tmp_path / "bag", scene(COUNT), storage, compression), tmp_path)
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == list(range(1, COUNT + 1))
    stamps = [START + number * PERIOD for number in range(COUNT)]
    assert copied(tmp_path / "out") == dict.fromkeys(["/image", "/instances", "/gar/overlay"], stamps)


@pytest.mark.parametrize("alone", [False, True])
def test_a_bag_without_definitions_gets_those_of_the_installed_types(tmp_path: Path, alone: bool) -> None:
    bag = as_humble(record(tmp_path / "bag", scene(COUNT), SQLITE), tmp_path)
    assert annotate(single(bag, tmp_path) if alone else bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == list(range(1, COUNT + 1))
    with AnyReader([tmp_path / "out"]) as reader:
        assert all(one.digest.startswith("RIHS01_") and one.msgdef.data for one in reader.connections)


def test_topics_whose_type_nobody_defines_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = as_humble(record(tmp_path / "bag", scene(COUNT), SQLITE), tmp_path)
    with sqlite3.connect(only(bag, "*.db3")) as database:
        database.execute("INSERT INTO topics VALUES (9, '/arm', 'arm_msgs/msg/Pose', 'cdr', '')")
        database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (9, ?, x'00010000')", (START,))
    assert annotate(single(bag, tmp_path), tmp_path / "out") == 0
    assert "/arm" not in copied(tmp_path / "out")
    words = "1 message(s) not copied: /arm: the bag has no definition of arm_msgs/msg/Pose, and it is not installed"
    assert words in capsys.readouterr().err


def test_a_type_that_only_the_bag_defines_is_copied_with_its_definition(tmp_path: Path) -> None:
    with Writer(tmp_path / "arm", version=9, storage_plugin=MCAP) as writer:
        arm = writer.add_connection("/arm", "arm_msgs/msg/Pose", msgdef="float64 x\n", rihs01="RIHS01_" + "0" * 64)
        writer.write(arm, START, b"\x00\x01\x00\x00" + bytes(8))
    both = tmp_path / "both"
    both.mkdir()
    only(tmp_path / "arm", "*.mcap").rename(both / "a.mcap")
    only(record(tmp_path / "bag", scene(COUNT)), "*.mcap").rename(both / "b.mcap")
    assert annotate(both, tmp_path / "out") == 0
    with AnyReader([tmp_path / "out"]) as reader:
        assert {one.topic: one.msgdef.data for one in reader.connections}["/arm"] == "float64 x\n"


def renamed(folder: Path, old: bytes, new: bytes) -> Path:
    file = only(folder, "*.mcap")
    file.write_bytes(file.read_bytes().replace(old, new))
    return folder


def test_mcap_of_another_profile_is_read(tmp_path: Path) -> None:
    """As Foxglove's bridge and converters write it."""
    bag = renamed(record(tmp_path / "bag", scene(COUNT)), b"\x04\x00\x00\x00ros2", b"\x04\x00\x00\x00none")
    assert b"none" in only(bag, "*.mcap").read_bytes()[:40]
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == list(range(1, COUNT + 1))


def test_messages_that_are_not_in_cdr_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = renamed(record(tmp_path / "bag", scene(COUNT)), b"\x03\x00\x00\x00cdr", b"\x03\x00\x00\x00xml")
    assert annotate(bag, tmp_path / "out") == 2
    assert "the bag has /image (sensor_msgs/Image as xml)" in capsys.readouterr().err


def test_an_annotated_bag_can_be_annotated_again(tmp_path: Path) -> None:
    assert annotate(record(tmp_path / "bag", scene(COUNT)), tmp_path / "once") == 0
    assert annotate(tmp_path / "once", tmp_path / "twice") == 0
    assert numbers(tmp_path / "twice") == list(range(1, COUNT + 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "metadata.yaml can't be read"),
        ("[", "metadata.yaml can't be read"),
        ("rosbag2_bagfile_information: {version: 9}", "metadata.yaml can't be read (KeyError: 'relative_file_paths')"),
        (
            "rosbag2_bagfile_information: {relative_file_paths: [x.mcap], storage_identifier: mcap}",
            "metadata.yaml names x.mcap, which the folder lacks; mend it with `ros2 bag reindex`",
        ),
        (
            "rosbag2_bagfile_information: {relative_file_paths: [bag.mcap], storage_identifier: rosbag_v2}",
            "expected storage mcap or sqlite3, metadata.yaml names 'rosbag_v2'",
        ),
        (
            "rosbag2_bagfile_information: {relative_file_paths: [bag.mcap], storage_identifier: mcap, "
            "compression_format: lz4}",
            "expected compression zstd, metadata.yaml names 'lz4'",
        ),
    ],
)
def test_a_wrong_metadata_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    bag = record(tmp_path / "bag", scene(COUNT))
    (bag / "metadata.yaml").write_text(text)
    assert annotate(bag, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_paths_that_are_no_bags_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "bad.db3.zstd").write_bytes(zstd.compress(b"SQLite format 3" * 1000)[:20])
    for name, words in (
        ("empty", "the folder has no metadata.yaml, and no .mcap or .db3 file either"),
        ("old.bag", "this is a bag of ROS 1; convert it"),
        ("bad.db3.zstd", "it can't be unpacked"),
    ):
        assert annotate(tmp_path / name, tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
