# SPDX-License-Identifier: Apache-2.0
"""Environments of users."""

from __future__ import annotations

import pwd

import pytest


@pytest.fixture
def without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has neither a home nor a cache folder named, as in a container with a bare `--user`."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
