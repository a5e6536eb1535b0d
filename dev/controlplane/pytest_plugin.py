"""The fixture ``control_plane``: one for the whole run, since each start takes seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.binaries import ensure_binaries
from controlplane.errors import ControlPlaneError
from controlplane.launcher import ControlPlane


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A running control plane. Tests that need it fail, and never skip, when it cannot be had.

    The logs stay, and their place is shown, when a test of the run failed.
    """
    with _visible(request.config):
        # Outside the capture: a person must see why nothing moves for minutes.
        plane = _started()
    yield plane
    with _visible(request.config):
        plane.stop(keep_logs=request.session.testsfailed > 0)


def _started() -> ControlPlane:
    try:
        plane = ControlPlane(binaries=ensure_binaries())
        plane.start()
    except ControlPlaneError as failure:
        pytest.fail(f"no control plane: {failure}", pytrace=False)
    return plane


def _visible(config: pytest.Config) -> contextlib.AbstractContextManager[Any]:
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return contextlib.nullcontext()
    visible: contextlib.AbstractContextManager[Any] = capture.global_and_fixture_disabled()
    return visible
