"""An empty cache and a stand-in for Go, for tests of looking up and building."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.controlplane.stand_ins import FakeGo


@pytest.fixture
def fake_go(tmp_path: Path) -> FakeGo:
    folder = tmp_path / "go"
    folder.mkdir()
    return FakeGo(folder)


@pytest.fixture
def environ(tmp_path: Path, fake_go: FakeGo) -> dict[str, str]:
    """What ensure_binaries sees: an empty cache, the fake go first on PATH."""
    path = os.pathsep.join([str(fake_go.folder), os.defpath])
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": path}
