"""Pods that end, freeze and are replaced: no key is lost, none doubled, no Secret half written."""

from __future__ import annotations

import pytest

from node.images import OPERATOR
from tests.chart.waiting import until
from tests.node import pods
from tests.node.release import HERE, NAME, Release
from tests.node.team import Team

pytestmark = pytest.mark.node

PAIRS = 100
SLOW = 0.1
"""Seconds of each call: so that many are under way at any moment."""
FROZEN_SECONDS = 180.0


def many(team: Team, number: int) -> None:
    """So many buckets, each with a key."""
    team.apply(*(team.bucket(f"b{n}") for n in range(number)))
    team.apply(*(team.key(f"k{n}", f"b{n}") for n in range(number)))


def pod_named(release: Release, name: str) -> dict[str, object]:
    return next(pod for pod in release.pods() if pod["metadata"]["name"] == name)


@pytest.mark.parametrize("force", [False, True], ids=["gracefully", "by-force"])
def test_the_leaders_pod_is_deleted_while_keys_are_issued(
    release: Release, team: Team, *, force: bool
) -> None:
    leader = release.wait_for_leader()
    release.service.control.behave(latency=SLOW)
    try:
        many(team, 20)
        pods.delete(release, leader, force=force)
        release.wait_for_leader(other_than=leader)
        team.wait_until_ready()
    finally:
        release.service.control.behave(latency=0)

    team.require_one_key_each()


def test_a_rollout_in_the_middle_of_the_first_reconcile(release: Release, team: Team) -> None:
    release.node.name_image_too(OPERATOR, OPERATOR.rpartition(":")[0] + ":next")
    before = {pod["metadata"]["name"] for pod in release.pods()}
    release.service.control.behave(latency=SLOW)
    try:
        many(team, PAIRS)
        assert not team.all_ready(), "the rollout begins while objects are under way"
        release.install(**{"image.tag": "next"})
        team.wait_until_ready()
    finally:
        release.service.control.behave(latency=0)

    assert before.isdisjoint(pod["metadata"]["name"] for pod in release.pods())
    assert set(release.restarts().values()) == {0}
    team.require_one_key_each()


def test_a_second_eviction_waits_until_the_first_pod_is_replaced(release: Release) -> None:
    first, second = (pod["metadata"]["name"] for pod in release.pods())
    budget = ("poddisruptionbudget", NAME, HERE)
    until(
        "the budget allows one",
        lambda: release.node.get(*budget)["status"]["disruptionsAllowed"] == 1,
    )

    assert pods.evict(release, first) == ""
    refused = pods.evict(release, second)
    assert "TooManyRequests" in refused
    assert "disruption budget" in refused

    until("the second is let go of", lambda: pods.evict(release, second) == "")
    ready = [pod for pod in release.pods() if pod["metadata"]["name"] != second]
    assert any(
        each["type"] == "Ready" and each["status"] == "True"
        for pod in ready
        for each in pod["status"]["conditions"]
    )


def test_a_frozen_leader_is_replaced_at_once_and_restarted_by_its_probe(
    release: Release, team: Team
) -> None:
    leader = release.wait_for_leader()
    team.apply(team.bucket("before"), team.key("before", "before"))
    team.wait_until_ready()

    pods.freeze(pod_named(release, leader))
    release.wait_for_leader(other_than=leader)
    team.apply(team.bucket("after"), team.key("after", "after"))
    team.wait_until_ready()

    until(
        "the kubelet starts it again",
        lambda: release.restarts().get(leader) == 1,
        deadline=FROZEN_SECONDS,
    )
    team.require_one_key_each()
    # A pod that was never restarted takes its place, for those who count restarts.
    pods.delete(release, leader)
