# SPDX-License-Identifier: Apache-2.0
"""What belongs together in a bag is found, however late and in whichever order; what is left out is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bag.small_bags import (
    LAG,
    PERIOD,
    START,
    Sent,
    annotate,
    answered,
    naming_engine,  # noqa: F401, a fixture
    numbers,
    record,
    scene,
)

pytestmark = pytest.mark.usefixtures("naming_engine")
SECOND = 1_000_000_000


@pytest.mark.parametrize("lag", [0, 2 * SECOND, 60 * SECOND])
def test_a_detector_that_lags_loses_no_image(tmp_path: Path, lag: int) -> None:
    bag = record(tmp_path / "bag", scene(50, lag=lag))
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == list(range(1, 51))


def test_the_order_of_recording_does_not_matter(tmp_path: Path) -> None:
    sent = scene(50)
    logged = [one.logged_ns for one in sent]
    order = np.random.default_rng(1).permutation(len(sent))
    bag = record(tmp_path / "bag", [sent[at]._replace(logged_ns=logged[to]) for to, at in enumerate(order)])
    assert annotate(bag, tmp_path / "out") == 0
    assert sorted(numbers(tmp_path / "out")) == list(range(1, 51))


@pytest.mark.parametrize("back", [0, 10 * SECOND, 3600 * SECOND, -3600 * SECOND])
def test_after_a_simulator_was_reset_no_pair_is_lost(tmp_path: Path, back: int) -> None:
    """back 0: the same stamps once more."""
    again = scene(40, START - back, logged=START + 60 * SECOND, number=101)
    bag = record(tmp_path / "bag", [*scene(40), *again])
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [*range(1, 41), *range(101, 141)]


def test_regions_of_one_round_never_meet_an_image_of_the_other(tmp_path: Path) -> None:
    """Of the first round all images are missing from the sixth on, of the second round all label images."""
    first = [one for one in scene(20) if one.topic == "/instances" or one.number < 6]
    second = [one for one in scene(20, logged=START + 60 * SECOND, number=101) if one.topic == "/image"]
    bag = record(tmp_path / "bag", [*first, *second])
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [1, 2, 3, 4, 5]


def test_constant_stamps_pair_in_the_order_of_recording(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", [one._replace(stamp_ns=START) for one in scene(5)])
    assert annotate(bag, tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [1, 2, 3, 4, 5]


def stamped(stamp_of_image: int, stamp_of_found: int) -> list[Sent]:
    """Five good pairs after one with these stamps."""
    return [
        Sent("/image", START - PERIOD, stamp_of_image, 200),
        Sent("/instances", START - LAG, stamp_of_found, 200),
        *scene(5),
    ]


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        (0, "1 message(s) left out: /image: header.stamp is zero"),
        (-5 * SECOND, "1 message(s) left out: /image: header.stamp is no time (expected sec from 0"),
    ],
)
def test_stamps_that_are_none_are_told_with_their_topic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stamp: int, words: str
) -> None:
    assert annotate(record(tmp_path / "bag", stamped(stamp, stamp)), tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [1, 2, 3, 4, 5]
    error = capsys.readouterr().err
    assert words in error and words.replace("/image", "/instances") in error


def test_why_images_have_no_regions_is_told_with_what_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [
        one._replace(stamp_ns=one.stamp_ns + 7_000_000) if one.topic != "/image" and one.number > 4 else one
        for one in scene(10)
    ]
    assert annotate(record(tmp_path / "bag", sent), tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [1, 2, 3, 4]
    error = capsys.readouterr().err
    assert "6 of 10 images on /image have no regions: no message on /instances has their stamp; 6 messages" in error
    assert "the nearest is 7.000 ms away" in error and "--slop" in error
    assert annotate(tmp_path / "bag", tmp_path / "near", "--slop", "0.01") == 0
    assert numbers(tmp_path / "near") == list(range(1, 11))
    assert {stamp for stamp, _, _ in answered(tmp_path / "near")} == {START + at * PERIOD for at in range(10)}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([one for one in scene(5) if one.topic == "/image"], "/instances has no messages with a stamp"),
        ([one for one in scene(5) if one.topic != "/image"], "the bag has no messages on /image"),
        ([], "the bag has no messages on /image"),
        ([one._replace(stamp_ns=0) for one in scene(5)], "5 message(s) left out: /image: header.stamp is zero"),
    ],
    ids=["no label images", "no images", "empty", "never stamped"],
)
def test_a_bag_without_a_pair_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sent: list[Sent], words: str
) -> None:
    assert annotate(record(tmp_path / "bag", sent), tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert words in error and "no image on /image can be answered about" in error
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_images_without_a_pixel_of_a_region_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [one._replace(number=0) if one.topic != "/image" and one.number < 3 else one for one in scene(5)]
    assert annotate(record(tmp_path / "bag", sent), tmp_path / "out") == 0
    assert numbers(tmp_path / "out") == [3, 4, 5]
    assert "in 2 images no region has a pixel" in capsys.readouterr().err


def test_images_between_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate(record(tmp_path / "bag", scene(30)), tmp_path / "out", "--every", "1") == 0
    assert numbers(tmp_path / "out") == [1, 11, 21]
    assert "27 images left out: less than 1 s from an answered one; see --every" in capsys.readouterr().err
