"""Flux's own controller on the control plane, and what it takes for a Git repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane import ControlPlane, ControlPlaneError
from flux_tools import KustomizeController, ensure_flux
from tests.cluster.fixtures import *  # noqa: F403
from tests.cluster.harness_cluster import Cluster
from tests.gitops.repository import FluxSystem, Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is in this folder itself needs Flux; those below say for themselves what they need."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.gitops)


@pytest.fixture(scope="session")
def controller(plane: ControlPlane) -> Iterator[KustomizeController]:
    """Flux's kustomize-controller at work. Tests that need it fail where it cannot be had."""
    try:
        flux = ensure_flux()
    except ControlPlaneError as failure:
        pytest.fail(f"no Flux: {failure}", pytrace=False)
    with KustomizeController(plane, flux) as running:
        yield running


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Where Flux fetches what was committed."""
    with Server(tmp_path_factory.mktemp("artifacts")) as server:
        yield server


@pytest.fixture
def flux(
    controller: KustomizeController, whole_cluster: Cluster, artifacts: Server
) -> Iterator[FluxSystem]:
    """Flux, with nothing left of this test's sources and Kustomizations afterwards."""
    system = FluxSystem(whole_cluster, artifacts, controller)
    yield system
    system.clean_up()
