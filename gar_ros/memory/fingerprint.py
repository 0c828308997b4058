# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of regions: equal when the model would see the same pixels."""

from __future__ import annotations

import hashlib

import numpy as np

from gar_ros.region import Box, Region

Fingerprint = tuple[Box, bytes]


def fingerprint(region: Region) -> Fingerprint:
    """The box and a hash of the mask of a region; its id, label and score don't count."""
    x0, y0, x1, y1 = region.box
    packed = np.packbits(region.mask[y0:y1, x0:x1])
    return region.box, hashlib.blake2b(packed.tobytes(), digest_size=16).digest()
