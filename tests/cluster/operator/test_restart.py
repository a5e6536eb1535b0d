"""A restart disturbs nobody, and the next leader need not wait."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_operator import Operator

MUTATING = (
    "create_bucket",
    "update_bucket",
    "delete_bucket",
    "create_storage_key",
    "delete_storage_key",
)
OBJECTS = ((BUCKET, "photos"), (KEY, "writer"), (KEY, "reader"))
SECRETS = (("Secret", "writer"), ("Secret", "reader"))


def settle(cluster: Cluster) -> dict[str, str]:
    """A bucket and two keys, all Ready; what they and their Secrets are like."""
    cluster.apply(
        a_bucket("photos", versioningEnabled=True),
        a_key("writer", bucketRefs=refs("photos")),
        a_key("reader", bucketRefs=refs("photos"), permission="Read"),
    )
    for kind, name in OBJECTS:
        cluster.ready(kind, name)
    return versions(cluster)


def versions(cluster: Cluster) -> dict[str, str]:
    """Every object's resourceVersion: it moves with every byte."""
    found: dict[str, Manifest] = {
        f"{kind} {name}": cluster.found(kind, name) for kind, name in (*OBJECTS, *SECRETS)
    }
    return {what: each["metadata"]["resourceVersion"] for what, each in found.items()}


def swept_twice(emulator: Emulator, after: int) -> None:
    """Wait until every object was looked at in two sweeps: then all that would come has come.

    The third listing begins after the second sweep has ended.
    """
    eventually(
        lambda: len(emulator.control.journal("get_storage_key", after)) >= 4,
        what="four key listings after the restart",
    )
    assert emulator.control.journal("bucket_status", after)


def nothing_moved(
    cluster: Cluster, emulator: Emulator, before: dict[str, str], since: datetime, after: int
) -> None:
    """No mutating call, no Secret byte changed, no Kubernetes write."""
    calls = {entry["call"] for entry in emulator.control.journal(after=after)}
    assert calls.isdisjoint(MUTATING)
    assert versions(cluster) == before
    assert cluster.kube_writes(since) == []


@pytest.mark.parametrize("how", [Operator.stop, Operator.kill], ids=["stopped", "killed"])
def test_a_restart_makes_no_mutating_call_and_changes_no_byte(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, how: object
) -> None:
    assert callable(how)
    first = run_operator()
    before = settle(cluster)
    how(first)
    since, after = cluster.now(), emulator.control.last_seq()

    run_operator(resync_interval="1s")

    swept_twice(emulator, after)
    nothing_moved(cluster, emulator, before, since, after)


def test_applying_the_same_manifests_again_does_nothing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    before = settle(cluster)
    since, after = cluster.now(), emulator.control.last_seq()

    assert settle(cluster) == before

    swept_twice(emulator, after)
    nothing_moved(cluster, emulator, before, since, after)


def test_what_changed_while_nobody_watched_is_served_by_the_next(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator().stop()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    second = run_operator()
    cluster.ready(KEY, "app")
    second.stop()
    cluster.delete(KEY, "app")

    run_operator()

    cluster.gone(KEY, "app")
    assert emulator.control.live_keys() == []


def test_sigterm_ends_with_0_and_hands_the_lease_to_the_standby(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    system = cluster.within(SYSTEM)
    leader = run_operator(leader_election=True)
    standby = run_operator(leader_election=True, wait=False)
    standby.wait_ready()
    assert standby.metric("leader") == 0
    calls = emulator.control.count()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    assert emulator.control.count() > calls
    assert standby.metric("api_requests_total") == 0, "a standby calls nothing"
    holder = system.found("Lease", "amove-operator")["spec"]["holderIdentity"]

    leader.stop()

    standby.wait_leading()
    lease = system.found("Lease", "amove-operator")["spec"]
    assert lease["holderIdentity"] not in ("", holder)
    standby.stop()
    assert system.found("Lease", "amove-operator")["spec"]["holderIdentity"] == ""


def test_sigterm_waits_for_the_call_in_flight_and_for_what_is_written_with_its_answer(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Longer than the five seconds after which Kopf would cancel whatever began after it."""
    operator = run_operator(leader_election=True, lease_namespace=SYSTEM)
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    held = emulator.control.fault("create_storage_key", hold="after")
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    eventually(lambda: emulator.control.count("create_storage_key") == 1, what="the call")

    operator.terminate()
    cluster.apply(a_key("later", bucketRefs=refs("photos")))
    answered = time.monotonic() + 8
    eventually(lambda: time.monotonic() > answered, what="8 s")
    assert operator.running
    emulator.control.clear_faults(held)

    assert operator.wait() == 0
    key = cluster.ready(KEY, "app")["status"]["key"]
    assert [each["id"] for each in emulator.control.live_keys()] == [key["id"]]
    assert cluster.secret("app")["AWS_ACCESS_KEY_ID"] == key["accessKey"]
    assert emulator.control.count("create_storage_key") == 1, "no further key is begun"
    lease = cluster.within(SYSTEM).found("Lease", "amove-operator")["spec"]
    assert lease["holderIdentity"] == ""
