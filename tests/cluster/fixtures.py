"""Fixtures: the real control plane with the chart in it, a namespace of one's own, the operator.

A folder whose tests need them has all by one line of its conftest.py, and a set of its own with it:
in tests/upgrade they stand on a control plane that no other folder uses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane.components import free_ports
from controlplane.launcher import ControlPlane
from tests.cluster.harness_cluster import RELEASE, SYSTEM, Cluster, install_chart
from tests.cluster.harness_operator import PRODUCT, Operator, Starter, as_text

__all__ = [
    "RunOperator",
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

RunOperator = Callable[..., Operator]
_started = pytest.StashKey[list[Operator]]()


def variables_for(
    kubeconfig: Path, emulator: Emulator, token_file: Path, namespace: str, /, **settings: object
) -> dict[str, str]:
    """The environment of an operator; ``settings`` win, None leaves one out.

    It watches that namespace only, does not hurry (a resync must not hide that nobody was woken),
    and needs no Lease (a killed one's would hold the next up).
    """
    metrics, health = free_ports(2)
    defaults: dict[str, object] = {
        "api_url": emulator.url,
        "auth_url": emulator.url,
        "token_file": token_file,
        "watch_namespaces": [namespace],
        "resync_interval": "3600s",
        "listing_settle": "1s",
        "rate_limit": 200,
        "leader_election": False,
        "metrics_port": metrics,
        "health_port": health,
        "log_level": "DEBUG",
    }
    chosen = {**defaults, **settings}
    given = {
        f"AMOVE_{field.upper()}": as_text(value)
        for field, value in chosen.items()
        if value is not None
    }
    return {"KUBECONFIG": str(kubeconfig), **given}


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane of the run, once both kinds are served and the roles are there."""
    install_chart(control_plane)
    # Else the garbage collector learns of our kinds only after 30 s.
    control_plane.restart_controller_manager()
    return control_plane


@pytest.fixture(scope="session")
def operator_kubeconfig(plane: ControlPlane) -> Path:
    """What the operator's Pod would have: its ServiceAccount's token."""
    return plane.service_account_kubeconfig(SYSTEM, RELEASE)


@pytest.fixture(scope="session")
def whole_cluster(plane: ControlPlane) -> Iterator[Cluster]:
    """The administrator's view; tests use ``cluster``, which is in their own namespace."""
    cluster = Cluster(plane)
    yield cluster
    cluster.close()


@pytest.fixture
def make_namespace(whole_cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Namespaces of this test's own, with nothing left of them afterwards."""
    made: list[str] = []

    def make() -> str:
        name = f"test-{secrets.token_hex(4)}"
        whole_cluster.create_namespace(name)
        made.append(name)
        return name

    yield make
    for name in made:
        whole_cluster.drop_namespace(name)


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """A namespace of this test's own."""
    return make_namespace()


@pytest.fixture
def cluster(whole_cluster: Cluster, namespace: str) -> Cluster:
    """The API server as the administrator sees it, in the test's namespace."""
    return whole_cluster.within(namespace)


@pytest.fixture
def token_file(emulator: Emulator, tmp_path: Path) -> Path:
    """The emulator's API token, as it would be mounted."""
    path = tmp_path / "token"
    path.write_text(emulator.api_token)
    return path


@pytest.fixture
def operator_variables(
    operator_kubeconfig: Path, emulator: Emulator, token_file: Path, namespace: str
) -> Callable[..., dict[str, str]]:
    """The environment of an operator for this test; ``settings`` win, None leaves one out."""

    def variables(**settings: object) -> dict[str, str]:
        return variables_for(operator_kubeconfig, emulator, token_file, namespace, **settings)

    return variables


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """What starts operators."""
    starter = Starter(tmp_path_factory.mktemp("operators"))
    yield starter
    starter.close()


@pytest.fixture
def run_operator(
    request: pytest.FixtureRequest,
    operator_variables: Callable[..., dict[str, str]],
    starter: Starter,
) -> Iterator[RunOperator]:
    """Start an operator, by default wait until it leads. At the end all must stop cleanly.

    ``run_operator(resync_interval="2s", trusted_namespaces=[namespace], wait=False)``
    """
    running: list[Operator] = []
    request.node.stash[_started] = running

    def run(
        *,
        wait: bool = True,
        environ: dict[str, str] | None = None,
        program: Sequence[str] = PRODUCT,
        **settings: object,
    ) -> Operator:
        variables = {**operator_variables(**settings), **(environ or {})}
        operator = starter.start(variables, program)
        running.append(operator)
        if wait:
            operator.wait_ready()
            operator.wait_leading()
        return operator

    yield run
    alive = [operator for operator in running if operator.running]
    for operator in alive:
        operator.terminate()
    for operator in alive:
        operator.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the operators said goes with the report of a test that failed."""
    report = yield
    if report.failed:
        none: list[Operator] = []
        operators = item.stash.get(_started, default=none)
        for number, operator in enumerate(operators):
            report.sections.append((f"operator {number}, the end of its log", operator.tail))
    return report
