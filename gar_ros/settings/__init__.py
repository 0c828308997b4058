# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the node, declared once: type, default, range, unit and meaning. No ROS."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from difflib import SequenceMatcher
from typing import Any

from gar_ros.errors import ErrorCode, GarError
from gar_ros.settings.answering import (
    DialogueSettings,
    FeaturesSettings,
    FindSettings,
    GraphSettings,
    KeyframeSettings,
    MemorySettings,
    RequestSettings,
    RuntimeSettings,
    WatchSettings,
)
from gar_ros.settings.declare import AT_START, parameter
from gar_ros.settings.inputs import DepthSettings, InputSettings, PastSettings, SyncSettings, TrackingSettings
from gar_ros.settings.outputs import BondSettings, DiagnosticsSettings, MarkersSettings, OverlaySettings

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
_MOST_NAMES = 16


@dataclass(frozen=True)
class Settings:
    """The parameters' values: a parameter `group.name` is the field `name` of the group."""

    autostart: bool = parameter(
        True, "configure and activate the node at start; false: wait for lifecycle transitions", changes=AT_START
    )
    model: str = parameter(
        "", "model folder made by `gar export`, ~ is expanded; empty: the shipped gar-tiny", path=True
    )
    cameras: tuple[str, ...] = parameter(
        ("",),
        "names of several cameras that one model serves, for example [front, wrist]: each name is the namespace of its "
        "camera's topics and services; one empty name: a single camera without a name",
        changes=AT_START,
        names=True,
    )
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    request: RequestSettings = field(default_factory=RequestSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)
    keyframe: KeyframeSettings = field(default_factory=KeyframeSettings)
    graph: GraphSettings = field(default_factory=GraphSettings)
    find: FindSettings = field(default_factory=FindSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    dialogue: DialogueSettings = field(default_factory=DialogueSettings)
    input: InputSettings = field(default_factory=InputSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    past: PastSettings = field(default_factory=PastSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    diagnostics: DiagnosticsSettings = field(default_factory=DiagnosticsSettings)
    overlay: OverlaySettings = field(default_factory=OverlaySettings)
    markers: MarkersSettings = field(default_factory=MarkersSettings)
    bond: BondSettings = field(default_factory=BondSettings)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from values by parameter name, `~` of paths expanded; what is not named has its default.

        Raises KeyError for a name that is no parameter, GarError INVALID_REQUEST for a `~` that has no home folder.
        """
        unknown = set(values) - set(PARAMETERS)
        if unknown:
            raise KeyError(f"no parameter {sorted(unknown)}")
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, own = name.rpartition(".")
            if PARAMETERS[name].metadata["path"]:
                value = _expanded(name, value)
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


def nearest(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names comes nearest to one that is none of them: by its words and their spelling."""
    group = [one for one in known if one.startswith(f"{name}.")]
    return group[0] if group else max(known, key=lambda one: _likeness(name, one), default="")


def _likeness(given: str, known: str) -> float:
    """0 to 3: how well the words of each name are found in the other one, wherever they stand, and the last parts."""
    words, known_words = re.split(r"[._]", given), re.split(r"[._]", known)
    own, known_own = given.rpartition(".")[2], known.rpartition(".")[2]
    return _found(words, known_words) + _found(known_words, words) + SequenceMatcher(None, own, known_own).ratio()


def _found(words: Sequence[str], among: Sequence[str]) -> float:
    """0 to 1: the mean likeness of each word with the one most like it."""
    return sum(max(SequenceMatcher(None, word, other).ratio() for other in among) for word in words) / len(words)


def _expanded(name: str, path: str) -> str:
    """The path with its `~` or `~user` replaced. Raises GarError INVALID_REQUEST when there is no such home folder."""
    if not path.startswith("~"):
        return path
    full = os.path.expanduser(path)  # noqa: PTH111 pathlib takes an empty HOME for the root folder
    home_is_empty = path.split("/")[0] == "~" and os.environ.get("HOME") == ""
    if full == path or home_is_empty:
        why = "HOME is empty" if home_is_empty else "no such user or home folder is known"
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"{name}: can't expand the ~ of '{path}': {why}; write the whole path"
        )
    return full


def refusal(name: str, value: Any) -> str:
    """Why `value` can't be the parameter of this name: what was expected and what came; empty when it can."""
    parameter = PARAMETERS[name]
    kind, limits, choices = type(parameter.default), parameter.metadata["limits"], parameter.metadata["choices"]
    if parameter.metadata["names"]:
        return _refusal_of_names(name, value)
    if kind is tuple:
        gaps = parameter.metadata["gaps"]
        texts = isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
        if texts and len(value) and (gaps or all(one.strip() for one in value)):
            return ""
        return f"{name}: expected texts{'' if gaps else ', none empty'}, got {value!r}"
    # A float written without its point in a YAML file is an integer to ROS.
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"{name}: expected a {kind.__name__}, got {value!r}"
    if limits and not limits[0] <= value <= limits[1]:
        return f"{name}: expected {limits[0]:.10g} to {limits[1]:.10g}, got {value!r}"
    if value in parameter.metadata["gone"]:
        return f"{name}: {parameter.metadata['gone'][value]}"
    if choices and value not in choices:
        return f"{name}: expected one of {', '.join(choices)}, got {value!r}"
    return ""


def _refusal_of_names(name: str, value: Any) -> str:
    """As `refusal`, of a list of names."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        return f"{name}: expected a list of names, got {value!r}"
    if tuple(value) == ("",):
        return ""
    odd = next((one for one in value if not _NAME.fullmatch(one)), None)
    if odd is not None:
        return f"{name}: expected names of at most 64 letters, digits and _ that begin with a letter, got {odd!r}"
    if not 0 < len(set(value)) == len(value) <= _MOST_NAMES:
        return f"{name}: expected 1 to {_MOST_NAMES} different names, got {list(value)}"
    return ""
