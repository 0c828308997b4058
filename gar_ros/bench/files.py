# SPDX-License-Identifier: Apache-2.0
"""Files that benchmarks read and write: JSON and pictures; every complaint about them names file, item and key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import PICTURE_FORMATS, write_atomically
from gar_ros.json_reader import JsonError, convert, load

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a value stands, for whoever has to correct it."""

    file: Path
    item: str = ""  # such as "item 3"
    key: str = ""

    def at(self, key: str) -> Place:
        """The same item's key."""
        return replace(self, key=key)

    def error(self, message: str, code: ErrorCode = ErrorCode.INVALID_REQUEST) -> GarError:
        """The error to raise about the value."""
        where = ", ".join(filter(None, (f"'{self.file}'", self.item, self.key and f"key '{self.key}'")))
        return GarError(code, f"{where}: {message}")

    def read(self, value: Any, kind: type[T]) -> T:
        """The value that stands here, of the declared type. Raises GarError INVALID_REQUEST naming the key in it."""
        try:
            return convert(value, kind)
        except JsonError as error:
            separator = "." if self.key and error.where and not error.where.startswith("[") else ""
            raise self.at(f"{self.key}{separator}{error.where}").error(error.message) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises GarError INVALID_REQUEST."""
    place = Place(path)
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise place.error(f"can't be read: {error.strerror}") from error
    except JsonError as error:
        raise place.error(error.message) from error


def read_items(path: Path, items: list[Any], name: str, kind: type[T]) -> list[tuple[Place, T]]:
    """The members of a file's list, each of the declared type and with its place "<name> <index>".

    Raises GarError INVALID_REQUEST.
    """
    places = [Place(path, f"{name} {index}") for index in range(len(items))]
    return [(place, place.read(item, kind)) for place, item in zip(places, items, strict=True)]


def picture_size(path: Path, place: Place) -> tuple[int, int]:
    """(width, height) in pixels, from the file's head. Raises GarError INVALID_REQUEST."""
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            return picture.size
    except Exception as error:  # what a damaged file raises in Pillow's many readers is not documented
        raise place.error(f"can't be read as a picture: {error}") from error


def load_picture(path: Path, place: Place) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8 as the released evaluation reads it: alpha dropped, not turned by EXIF, as masks aren't."""
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            return np.array(picture.convert("RGB"))
    except Exception as error:  # as above
        raise place.error(f"can't be read as a picture: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in one step, unless it holds this text already. Raises GarError INVALID_REQUEST."""
    try:
        if path.exists() and path.read_bytes() == text.encode():
            return
        write_atomically(path, text.encode())
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}' can't be written: {error.strerror}") from error
