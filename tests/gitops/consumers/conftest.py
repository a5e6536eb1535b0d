"""The fixtures of the cluster tests, and one operator for all tests of a module here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane.components import free_ports
from tests.cluster.conftest import operator_kubeconfig, plane, starter, whole_cluster
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator, Starter, as_text

__all__ = ["operator_kubeconfig", "plane", "starter", "whole_cluster"]

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
        metrics, health = free_ports(2)
        chosen: dict[str, object] = {
            "api_url": service.url,
            "auth_url": service.url,
            "token_file": token,
            "watch_namespaces": [team.namespace],
            "resync_interval": "3600s",
            "listing_settle": "1s",
            "rate_limit": 200,
            "leader_election": False,
            "metrics_port": metrics,
            "health_port": health,
            "log_level": "DEBUG",
            **settings,
        }
        named = {f"AMOVE_{field.upper()}": as_text(value) for field, value in chosen.items()}
        return {"KUBECONFIG": str(operator_kubeconfig), **named}

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
