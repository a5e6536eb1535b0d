"""A control plane of these tests' own: they change the definitions under everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane import ControlPlane, ensure_binaries
from tests.cluster.fixtures import *  # noqa: F403


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """In place of the one that the tests of other folders share."""
    with ControlPlane(binaries=ensure_binaries()) as started:
        yield started
