"""Files that benchmarks read and write: JSON and pictures; every complaint about them names file, item and key."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import write_atomically

T = TypeVar("T")

_NAMES: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


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

    def get(self, item: dict[str, Any], key: str, kind: type[T]) -> T:
        """item[key], which must be there and of this type."""
        if key not in item:
            raise self.at(key).error("missing")
        value = item[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.at(key).error(f"expected {_NAMES[kind]}, got {shortened(value)}")
        return value


def shortened(value: Any) -> str:
    """A value for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises GarError INVALID_REQUEST."""
    place = Place(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise place.error(f"can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise place.error(f"is not JSON: {error}") from error


def read_objects(path: Path) -> list[tuple[Place, dict[str, Any]]]:
    """The objects of a JSON list, each with its place. Raises GarError INVALID_REQUEST."""
    items = read_json(path)
    if not isinstance(items, list) or not items:
        raise Place(path).error(f"expected a list of items, got {shortened(items)}")
    return objects(path, items, "item")


def objects(path: Path, items: list[Any], name: str) -> list[tuple[Place, dict[str, Any]]]:
    """The members of a list, which must be objects, each with its place "<name> <index>"."""
    placed = [(Place(path, f"{name} {index}"), item) for index, item in enumerate(items)]
    for place, item in placed:
        if not isinstance(item, dict):
            raise place.error(f"expected an object, got {shortened(item)}")
    return placed


def picture_size(path: Path, place: Place) -> tuple[int, int]:
    """(width, height) in pixels, from the file's head. Raises GarError INVALID_REQUEST."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise place.error(f"can't be read as a picture: {error}") from error


def load_picture(path: Path, place: Place) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8 as the released evaluation reads it: alpha dropped, not turned by EXIF, as masks aren't."""
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise place.error(f"can't be read as a picture: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in one step, unless it holds this text already. Raises GarError INVALID_REQUEST."""
    try:
        if path.exists() and path.read_bytes() == text.encode():
            return
        write_atomically(path, text.encode())
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"'{path}' can't be written: {error.strerror}") from error
