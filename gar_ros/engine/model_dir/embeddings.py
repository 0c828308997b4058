# SPDX-License-Identifier: Apache-2.0
"""The token embeddings of a model that is in use: read from its file, and never from one that has changed."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.errors import ErrorCode, GarError


class Embeddings:
    """Rows of the table (vocab, hidden). Raises GarError BAD_MODEL as long as a file of the model is damaged.

    The table, and weights beside a graph, are memory-mapped: to read behind the end of a file that somebody cut would
    end the process (SIGBUS), and a file that is written over would answer something else. So each reading looks first
    whether a file was changed in its place. Files that are replaced, as `gar export` does, stay readable as they were.
    """

    def __init__(self, model: ModelDir) -> None:
        """Raises GarError BAD_MODEL."""
        self._model, self._table = model, model.embeddings()
        lifetime = ExitStack()
        self._files = [lifetime.enter_context(model.file(name).open("rb")) for name in model.manifest.files]
        weakref.finalize(self, lifetime.close)
        self._states = self._look()

    def __getitem__(self, ids: NDArray[np.int64]) -> NDArray[np.floating]:
        """The rows (len(ids), hidden) of these tokens."""
        states = self._look()
        if states != self._states:
            self._check()
            self._states = states
        return self._table[ids]

    def _look(self) -> list[Any]:
        states = [os.fstat(file.fileno()) for file in self._files]
        return [(state.st_size, state.st_mtime_ns) for state in states]

    def _check(self) -> None:
        """Raises GarError BAD_MODEL unless the folder is that of the model that was loaded."""
        try:
            same = ModelDir.open(self._model.path).manifest == self._model.manifest
        except GarError as error:
            message = f"the model was changed while it was in use: {error.message}"
            raise GarError(error.code, message) from error
        if not same:
            message = f"model folder '{self._model.path}' holds another model than the one that was loaded"
            raise GarError(ErrorCode.BAD_MODEL, f"{message}: clean up and configure the node again")
