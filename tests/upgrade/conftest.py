"""A control plane of these tests' own: they change the definitions under everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane import ControlPlane, ensure_binaries
from tests.cluster.conftest import (
    cluster,
    make_namespace,
    namespace,
    operator_kubeconfig,
    operator_variables,
    plane,
    pytest_runtest_makereport,
    run_operator,
    starter,
    token_file,
    whole_cluster,
)

__all__ = [
    "cluster",
    "make_namespace",
    "namespace",
    "operator_kubeconfig",
    "operator_variables",
    "plane",
    "pytest_runtest_makereport",
    "run_operator",
    "starter",
    "token_file",
    "whole_cluster",
]


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """In place of the one that the tests of other folders share."""
    with ControlPlane(binaries=ensure_binaries()) as started:
        yield started
