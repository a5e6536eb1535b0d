"""One operator for all tests of a module; what it stands on is in the folder above."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import variables_for
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator, Starter

OperatorOf = Callable[..., Operator]


@pytest.fixture(scope="module")
def service(emulator_server: Emulator) -> Emulator:
    """The emulator, in its first state at the module's begin."""
    emulator_server.control.reset()
    return emulator_server


@pytest.fixture(scope="module")
def team(whole_cluster: Cluster) -> Iterator[Cluster]:
    """The API server as the administrator sees it, in a namespace of this module's own."""
    name = f"gitops-{secrets.token_hex(4)}"
    whole_cluster.create_namespace(name)
    yield whole_cluster.within(name)
    whole_cluster.drop_namespace(name)


@pytest.fixture(scope="module")
def variables(
    operator_kubeconfig: Path,
    service: Emulator,
    team: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., dict[str, str]]:
    """The environment of an operator for ``team``; ``settings`` win."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(service.api_token)

    def given(**settings: object) -> dict[str, str]:
        return variables_for(operator_kubeconfig, service, token, team.namespace, **settings)

    return given


@pytest.fixture(scope="module")
def operators(starter: Starter, variables: Callable[..., dict[str, str]]) -> Iterator[OperatorOf]:
    """Start an operator for ``team``, and wait until it leads. At the end all must stop cleanly."""
    running: list[Operator] = []

    def run(**settings: object) -> Operator:
        operator = starter.start(variables(**settings))
        running.append(operator)
        operator.wait_ready()
        operator.wait_leading()
        return operator

    yield run
    for operator in running:
        operator.stop()


@pytest.fixture(scope="module")
def operator(operators: OperatorOf) -> Operator:
    """The operator of the module."""
    return operators()
