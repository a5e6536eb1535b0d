"""The commonest mistakes are made for real, and docs/troubleshooting.md quotes what is then seen.

Of each the page has a heading, where it shows, the words (``…`` stands for what differs from case
to case), and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness_cluster import Cluster
from tests.cluster.operator.mistakes import MISTAKES, ON_A_BARE_CLUSTER, Stage

PAGE = Path(__file__).parents[3] / "docs/troubleshooting.md"
ENTRY = re.compile(
    r"^### (?P<title>.+)\n\n\*\*Where:\*\* (?P<where>.+)\n\n```text\n(?P<words>[^`]+)\n```\n\n"
    r"\*\*Do:\*\* \S",
    re.MULTILINE,
)
ENTRIES = {entry["title"]: entry for entry in ENTRY.finditer(PAGE.read_text())}


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane without the chart: one for the mistakes that need one."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    title: str,
    plane: ControlPlane,
    cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    tmp_path: Path,
    run_operator: RunOperator,
) -> Stage:
    other = cluster.within(make_namespace())
    stage = Stage(plane, cluster, other, emulator, tmp_path, run_operator)
    if title in ON_A_BARE_CLUSTER:
        return replace(stage, plane=request.getfixturevalue("bare_plane"))
    return stage


def plain(text: str) -> str:
    """Text without line breaks, and without what JSON puts before a quote."""
    return " ".join(text.replace('\\"', '"').split())


def test_the_page_has_every_mistake_and_no_other() -> None:
    titles = re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE)
    assert titles == list(ENTRIES), "each with where, the words, and what to do"
    assert set(titles) == set(MISTAKES)


@pytest.mark.parametrize("title", MISTAKES)
def test_whoever_makes_a_mistake_sees_the_words_that_the_page_is_found_by(
    title: str, stage: Stage
) -> None:
    where, make = MISTAKES[title]
    entry = ENTRIES[title]
    assert entry["where"] == where
    parts = [re.escape(part.strip()) for part in plain(entry["words"]).split("…")]
    said = plain(make(stage))
    assert re.search(".*".join(parts), said), f"{entry['words']}\nis not what is said:\n{said}"
