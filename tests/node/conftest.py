"""One node for all tests of a run, an emulator beside it, and the chart as a user installs it."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator

import pytest

from node import Node
from tests.node.release import Release
from tests.node.service import Service
from tests.node.team import Team

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def service(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The Amove service, reached by pods over TLS that the cluster's own authority signed."""
    with Service(node, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def installed(node: Node, service: Service) -> Release:
    """The release, made once; what a test changes of it, ``release`` puts right again."""
    release = Release(node, service)
    release.prepare()
    release.install()
    return release


@pytest.fixture
def release(installed: Release, service: Service) -> Release:
    """Two replicas that are Ready, at a service without faults."""
    service.control.clear_faults()
    installed.install()
    return installed


@pytest.fixture
def team(release: Release) -> Iterator[Team]:
    """A namespace of its own, under Pod Security restricted, emptied at the end."""
    team = Team(release, f"team-{next(NUMBERS)}")
    team.make()
    yield team
    team.remove()


@pytest.fixture
def last_team(release: Release) -> Team:
    """A namespace that goes with the cluster: it holds too much to be deleted in a test's time."""
    team = Team(release, f"team-{next(NUMBERS)}")
    team.make()
    return team


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last of all what leaves thousands of objects, with which each install would begin."""
    items.sort(key=lambda item: "last_team" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what a person would ask the cluster for first."""
    report = yield
    release = getattr(item, "funcargs", {}).get("release")
    if report.failed and isinstance(release, Release):
        report.sections.append(("the release", release.diagnosis()))
    return report
