"""docs/architecture.md is held to the code: the rounds that it tells of one key and one bucket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from amove_operator.controllers.buckets.reconciler import BucketReconciler
from amove_operator.controllers.keys.reconciler import KeyReconciler
from figures.counts import functions_of
from figures.tree import Tree
from tests.unit.bucket_cluster import BucketCluster, on_cluster

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/architecture.md").read_text()
TREE = Tree.read(ROOT / "operator/amove_operator")


def section(heading: str) -> str:
    """What stands below a heading of the page."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rounds(heading: str) -> list[str]:
    """The steps of the table below a heading, in order."""
    found = re.findall(r"^\| (\d+) \| `(\w+)` \|", section(heading), re.MULTILINE)
    assert [int(number) for number, _ in found] == list(range(1, len(found) + 1))
    return [step for _, step in found]


def deletion(heading: str) -> list[str]:
    """The steps of the deletion that the section ends in."""
    return re.findall(r"`([A-Z]\w+)`", section(heading).split("**Its deletion**")[1])


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the steps that the reconcilers are told to take."""
    found: list[str] = []

    def watch(reconciler: Any) -> None:
        decide = reconciler.decide

        def decided(self: Any, *given: Any) -> Any:
            snapshot, step = decide(self, *given)
            found.append(type(step).__name__)
            return snapshot, step

        monkeypatch.setattr(reconciler, "decide", decided)

    watch(BucketReconciler)
    watch(KeyReconciler)
    return found


def test_a_key_goes_the_rounds_that_the_page_shows(taken: list[str]) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team-a", "photos")
        await cluster.passes()
        bucket = list(taken)
        taken.clear()
        key = cluster.apply_key("team-a", "photos-writer", "photos")
        await cluster.passes()
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        shown = rounds("A key, from event to Secret")
        assert taken[: len(shown)] == shown
        taken.clear()
        cluster.delete(key)
        await cluster.passes()
        steps = deletion("A key, from event to Secret")
        assert taken[: len(steps)] == steps
        assert bucket == rounds("A bucket, from event to status")

    on_cluster(scenario)


def test_a_bucket_is_deleted_as_the_page_says(taken: list[str]) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket = cluster.apply("team-a", "photos", deletionPolicy="Delete")
        await cluster.passes()
        taken.clear()
        cluster.delete(bucket)
        await cluster.passes()
        assert taken == deletion("A bucket, from event to status")

    on_cluster(scenario)


def test_the_checks_that_the_page_names_are_there() -> None:
    table = section("A key, from event to Secret")
    wants = re.findall(r"^\| \d \| `\w+` \| (?:gate )?`(\w+)`", table, re.MULTILINE)
    there = {one.name for module, one in functions_of(TREE) if ".core.keys." in module}
    assert len(wants) == 5
    assert set(wants) <= there


def test_the_methods_and_attributes_that_the_page_names_are_there() -> None:
    classes = {one.node.name: one for one in TREE.classes()}
    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", PAGE)
    assert len(named) > 8
    for owner, name in named:
        assert name in TREE.members(classes[owner]), f"{owner}.{name}"


def test_the_holders_of_state_that_the_page_names_are_there() -> None:
    holders = re.findall(r"`([A-Z]\w+)`", section("Where state lies"))
    there = {one.node.name for one in TREE.classes() if ".controllers.shared." in one.module}
    assert set(holders) <= there
