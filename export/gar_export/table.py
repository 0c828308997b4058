# SPDX-License-Identifier: Apache-2.0
"""embeddings.npy: the token embeddings, where a decoder with a tied head finds its head too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_export.graph import ALIGNMENT

_MAGIC = b"\x93NUMPY\x01\x00"


@dataclass(frozen=True)
class StoredTable:
    """Where a table's values are."""

    file: str
    offset: int  # bytes
    dtype: np.dtype


def write_table(path: Path, table: NDArray[np.floating]) -> StoredTable:
    """Writes a C-ordered array as .npy (version 1.0) whose values begin at a page, as ONNX wants of external data."""
    if not table.flags.c_contiguous:
        raise ValueError("expected rows one after another")
    description = str(
        {"descr": np.lib.format.dtype_to_descr(table.dtype), "fortran_order": False, "shape": table.shape}
    )
    length = ALIGNMENT - len(_MAGIC) - 2  # the format wants spaces up to a line's end
    with path.open("wb") as file:
        file.write(_MAGIC + length.to_bytes(2, "little") + description.encode().ljust(length - 1) + b"\n")
        table.tofile(file)
    return StoredTable(path.name, ALIGNMENT, table.dtype)
