# SPDX-License-Identifier: Apache-2.0
"""Which bags words on the command line mean, and what the new ones are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from gar_ros.bag.find import find_bags
from gar_ros.errors import GarError


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Bags by their names alone: monday/a, monday/b.mcap, tuesday/a, and what is no bag."""
    root = tmp_path / "drives"
    for file in (
        "monday/a/metadata.yaml",
        "monday/b.mcap",
        "tuesday/a/a_0.db3",
        "tuesday/a/a_1.db3",
        "notes/notes.txt",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def found(tmp_path: Path, *words: object) -> dict[str, str]:
    """Source by the path of the new bag, both below `tmp_path`."""
    jobs = find_bags([str(word) for word in words], tmp_path / "out")
    return {str(job.out.relative_to(tmp_path)): job.source.removeprefix(f"{tmp_path}/") for job in jobs}


def test_a_bag_alone_becomes_the_folder_that_is_named(drives: Path, tmp_path: Path) -> None:
    assert found(tmp_path, drives / "monday/b.mcap") == {"out": "drives/monday/b.mcap"}
    assert found(tmp_path, drives / "tuesday/a") == {"out": "drives/tuesday/a"}
    assert found(tmp_path, drives / "nothing") == {"out": "drives/nothing"}


def test_folders_are_searched_and_kept_between(drives: Path, tmp_path: Path) -> None:
    assert found(tmp_path, drives) == {
        "out/monday/a": "drives/monday/a",
        "out/monday/b": "drives/monday/b.mcap",
        "out/tuesday/a": "drives/tuesday/a",
    }


def test_a_pattern_keeps_what_follows_its_fixed_beginning(drives: Path, tmp_path: Path) -> None:
    assert found(tmp_path, f"{drives}/*/a") == {"out/monday/a": "drives/monday/a", "out/tuesday/a": "drives/tuesday/a"}
    assert found(tmp_path, f"{drives}/monday/*") == {"out/a": "drives/monday/a", "out/b": "drives/monday/b.mcap"}
    assert found(tmp_path, f"{drives}/**/*.mcap") == {"out/monday/b": "drives/monday/b.mcap"}


def test_several_bags_are_called_by_their_own_names(drives: Path, tmp_path: Path) -> None:
    words = [drives / "tuesday/a", drives / "monday/b.mcap"]
    assert found(tmp_path, *words) == {"out/a": "drives/tuesday/a", "out/b": "drives/monday/b.mcap"}


def test_new_bags_hidden_folders_and_links_to_above_are_not_searched(drives: Path, tmp_path: Path) -> None:
    before = found(tmp_path, drives)
    for folder in (drives / ".monday.7.part/monday", drives / "out/monday/a"):
        folder.mkdir(parents=True)
        (folder / "metadata.yaml").touch()
    (drives / "monday/up").symlink_to(drives)
    jobs = find_bags([str(drives)], drives / "out")
    assert [job.source.removeprefix(f"{tmp_path}/") for job in jobs] == list(before.values())


def test_elsewhere_it_is_the_same(drives: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    url = f"file://{drives}"
    here = [(job.name, f"file://{job.source}") for job in find_bags([str(drives)], tmp_path / "out")]
    assert [(job.name, job.source) for job in find_bags([url], tmp_path / "out")] == here
    assert [job.name for job in find_bags([f"{url}/*/a"], tmp_path / "out")] == ["monday/a", "tuesday/a"]
    (alone,) = find_bags([f"{url}/monday/b.mcap"], tmp_path / "out")
    assert alone.out == tmp_path / "out"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["monday/a", "tuesday/a"], "would become"),
        (["notes"], "nor has a folder in it"),
        (["*.db3"], "no bag matches this pattern"),
        (["monday/a", "sub/a"], "in the folder of the bag"),
    ],
)
def test_what_can_not_be_meant_is_told(drives: Path, tmp_path: Path, words: list[str], message: str) -> None:
    (drives / "sub/a/a/b").mkdir(parents=True)
    (drives / "sub/a/a/b/b.mcap").touch()
    with pytest.raises(GarError, match=message):
        find_bags([f"{drives}/{word}" for word in words], tmp_path / "out")


def test_a_kind_of_url_that_nothing_reads_is_told(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(GarError, match="nowhere://bucket/drive' can't be read"):
        find_bags(["nowhere://bucket/drive"], tmp_path / "out")
