# SPDX-License-Identifier: Apache-2.0
"""Frames of a video by their number: of a file that OpenCV reads, or of a folder with a picture for each frame."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.files import Place, load_picture

Frames = dict[int, NDArray[np.uint8]]
"""Frame number -> RGB (H, W, 3) uint8."""


def load_frames(path: Path, numbers: Collection[int], place: Place) -> Frames:
    """The frames with these numbers, counted from 0; pictures of a folder count in the order of their names.

    Raises GarError INVALID_REQUEST for what is no video and for a number that it doesn't have.
    """
    return _of_folder(path, numbers, place) if path.is_dir() else _of_file(path, numbers, place)


def check_video(path: Path, place: Place) -> None:
    """Raises GarError INVALID_REQUEST where there is neither file nor folder. What is in it shows when it is read."""
    if not os.path.exists(path):  # noqa: PTH110 Path.exists raises for a name that no file can have
        raise place.error(f"expected a video file or a folder of frames, found nothing at '{path}'")


def _of_folder(path: Path, numbers: Collection[int], place: Place) -> Frames:
    try:
        pictures = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise place.error(f"the folder '{path}' can't be read: {error.strerror}") from error
    _check_numbers(numbers, len(pictures), path, place)
    return {number: load_picture(pictures[number], place) for number in numbers}


def _of_file(path: Path, numbers: Collection[int], place: Place) -> Frames:
    """Reads from the start: where a file's index is not exact, OpenCV's seeking lands on another frame."""
    capture = cv2.VideoCapture(str(path)) if path.is_file() else None
    try:
        if capture is None or not capture.isOpened():
            raise place.error(f"'{path}' can't be read as a video")
        frames: Frames = {}
        count = 0
        while count <= max(numbers) and capture.grab():
            if count in numbers:
                read, pixels = capture.retrieve()
                if not read:
                    raise place.error(f"frame {count} of '{path}' can't be read")
                frames[count] = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            count += 1
    finally:
        if capture is not None:
            capture.release()
    _check_numbers(numbers, count, path, place)
    return frames


def _check_numbers(numbers: Collection[int], count: int, path: Path, place: Place) -> None:
    """count: of the frames that there are, or that were looked at when all were found."""
    if beyond := sorted(number for number in numbers if number >= count):
        raise place.error(f"expected a frame {beyond[0]} in '{path}', which has {count} frames (counted from 0)")
