"""One node for all tests here, an emulator beside it, and the chart as a user installs it."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator

import pytest

from amove_emulator import Emulator
from amove_emulator.listening import Listening
from node import Node
from tests.node.release import Release
from tests.node.team import Team

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def service(node: Node) -> Iterator[Emulator]:
    """The Amove service, reached by pods over TLS that the cluster's own authority signed."""
    certificate, key = node.plane.server_certificate("amove", [node.address])
    listening = Listening(node.address, certificate, key, node.plane.ca_file)
    with Emulator(listening=listening) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def installed(node: Node, service: Emulator) -> Release:
    """The release, made once; what a test changes of it, ``release`` puts right again."""
    release = Release(node, service)
    release.prepare()
    release.install()
    return release


@pytest.fixture
def release(installed: Release, service: Emulator) -> Release:
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
