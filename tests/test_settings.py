# SPDX-License-Identifier: Apache-2.0
"""Settings by parameter name: defaults, paths, and the name that somebody probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from gar_ros.errors import ErrorCode, GarError
from gar_ros.settings import PARAMETERS, Settings, nearest, refusal


def test_what_is_not_given_has_its_default() -> None:
    assert Settings.of({}) == Settings()
    assert Settings.of({"sync.slop": 0.1}).sync.slop == 0.1
    assert Settings.of({"graph.predicates": ["inside"]}).graph.predicates == ("inside",)


def test_another_name_is_no_parameter() -> None:
    with pytest.raises(KeyError, match=r"no parameter \['sync_slop'\]"):
        Settings.of({"sync_slop": 0.1})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sync.slopp", "sync.slop"),  # a slip of the finger
        ("tracking.lost_afetr", "tracking.lost_after"),
        ("runtime.provder", "runtime.provider"),
        ("request.token_max", "request.max_tokens"),
        ("gragh.rate", "graph.rate"),
        ("lost_after", "tracking.lost_after"),  # without its group
        ("provider", "runtime.provider"),
        ("queue_size", "request.queue_size"),
        ("track_lost", "tracking.lost_after"),  # the words of a name in another order or in another group
        ("sync_slop", "sync.slop"),
        ("keyframe_lag", "keyframe.max_lag"),
        ("features_per_region", "features.max_per_region"),
        ("default_timeout", "request.timeout"),
        ("graph.reliability", "input.reliability"),
        ("sync", "sync.policy"),  # a group in place of a parameter: its first one
        ("features", "features.mode"),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(given: str, meant: str) -> None:
    assert nearest(given, PARAMETERS) == meant


@pytest.mark.parametrize("name", ["graph.predicates", "input.class_names"])
def test_a_list_is_of_texts_and_only_some_lists_have_gaps(name: str) -> None:
    gaps = name == "input.class_names"
    assert refusal(name, ["a", "b"]) == ""
    assert bool(refusal(name, ["a", "", "c"])) != gaps
    for wrong in ([], "a", ["a", 1], None):
        assert refusal(name, wrong).startswith(f"{name}: expected texts")


PATHS = [name for name, parameter in PARAMETERS.items() if parameter.metadata["path"]]


def path_of(settings: Settings, name: str) -> str:
    return {"model": settings.model, "runtime.engines": settings.runtime.engines}[name]


@pytest.mark.parametrize("name", PATHS)
def test_a_tilde_is_the_home_folder(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of(Settings.of({name: "~/models/gar 1b"}), name) == f"{tmp_path}/models/gar 1b"
    assert path_of(Settings.of({name: "models/~x"}), name) == "models/~x"
    assert path_of(Settings.of({name: ""}), name) == ""


@pytest.mark.parametrize("name", PATHS)
def test_a_tilde_without_a_home_folder_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(GarError, match=f"{name}: can't expand the ~ of '~/x': HOME is empty") as raised:
        Settings.of({name: "~/x"})
    assert raised.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(GarError, match="no such user or home folder is known; write the whole path"):
        Settings.of({name: "~nobody-of-that-name/x"})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_description_is_one_line_that_stands_for_itself(name: str) -> None:
    meaning = PARAMETERS[name].metadata["meaning"]
    assert "\n" not in meaning
    assert len(meaning.split()) >= 5
    assert not set(meaning.split()) & {"such", "ones,", "above", "below", "likewise", "ditto"}
    assert meaning.count("`") % 2 == 0
