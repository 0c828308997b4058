# SPDX-License-Identifier: Apache-2.0
"""A folder of new bags that a run has begun and another continues: only with the same settings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gar_ros.bag.answering import BagJob
from gar_ros.bag.files import delete_unfinished
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import write_atomically
from gar_ros.json_reader import JsonError, read

SETTINGS = "gar_annotate.json"
"""In the folder: what decides what the answers are."""


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Makes the folder with its settings, or checks those of an earlier run. Raises GarError INVALID_REQUEST."""
    file = folder / SETTINGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            if any(folder.iterdir()):
                what = f"expected a new folder or one of an earlier run for the bags, got '{folder}'"
                raise GarError(ErrorCode.INVALID_REQUEST, f"{what}, which has files but no {SETTINGS}")
            write_atomically(file, (json.dumps(settings, ensure_ascii=False, indent=1) + "\n").encode())
            return
        before = read(file.read_bytes(), dict[str, Any])
    except JsonError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{file}' can't be read: {error}") from error
    except OSError as error:
        what = f"can't write bags to '{folder}': {error.strerror or error}"
        raise GarError(ErrorCode.INVALID_REQUEST, what) from error
    other = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if other:
        now, then = (json.dumps(one.get(other[0]), ensure_ascii=False) for one in (settings, before))
        what = f"the bags in '{folder}' were made with {other[0]} {then}, now it is {now}: choose another --out"
        raise GarError(ErrorCode.INVALID_REQUEST, what)


def missing(jobs: Iterable[BagJob]) -> list[BagJob]:
    """Those whose new bag isn't there yet."""
    return [job for job in jobs if not job.out.exists()]


def tidy(jobs: Iterable[BagJob]) -> None:
    """Deletes what workers that were killed on this machine have left of these new bags."""
    for job in jobs:
        if job.out.parent.is_dir():
            delete_unfinished(job.out)
