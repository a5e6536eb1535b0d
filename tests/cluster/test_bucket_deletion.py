"""How buckets go: told to, waited for, let go of, and whole namespaces at once (design.md §4.5)."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import CALLS, calls, stalled
from tests.cluster.conftest import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster


def test_a_deletion_waits_for_every_key_that_refers_to_the_bucket(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Whether it is served, paused, or going itself; none of them is touched."""
    run_operator()
    cluster.apply(
        a_bucket("photos", deletionPolicy="Delete"),
        a_key("app", bucketRefs=refs("photos")),
        a_key("paused", bucketRefs=refs("photos")),
        a_key("unborn", bucketRefs=refs("photos"), annotations=_PAUSED),
    )
    for name in ("app", "paused"):
        cluster.ready(KEY, name)
    cluster.annotate(KEY, "paused", paused="true")
    calls_before = calls(emulator, "photos", *CALLS)

    cluster.delete(BUCKET, "photos")
    message = stalled(cluster, "photos", "DeletionBlocked")
    assert "AmoveStorageKey app, AmoveStorageKey paused, AmoveStorageKey unborn" in message

    cluster.delete(KEY, "paused")
    cluster.delete(KEY, "unborn")
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    eventually(
        lambda: "reach it: AmoveStorageKey paused." in stalled(cluster, "photos", "DeletionBlocked")
    )
    assert calls(emulator, "photos", *CALLS) == calls_before
    assert len(emulator.control.live_keys()) == 1

    cluster.annotate(KEY, "paused", paused=None)
    cluster.gone(KEY, "paused")
    cluster.gone(BUCKET, "photos", deadline=5)
    assert emulator.control.buckets() == {}


_PAUSED = {"storage.amove.io/paused": "true"}
STRIPPED = {"metadata": {"finalizers": None}}


def test_retain_releases_a_deletion_that_keys_block_and_leaves_them_working(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(
        a_bucket("photos", deletionPolicy="Delete"), a_key("app", bucketRefs=refs("photos"))
    )
    cluster.ready(KEY, "app")
    cluster.delete(BUCKET, "photos")
    stalled(cluster, "photos", "DeletionBlocked")
    cluster.patch(BUCKET, "photos", {"spec": {"deletionPolicy": "Retain"}})
    cluster.gone(BUCKET, "photos", deadline=5)
    assert list(emulator.control.buckets()) == ["photos"]
    assert len(emulator.control.live_keys()) == 1


def test_a_deletion_that_the_service_refuses_says_why_and_backs_off(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    refusal = {"status": 499, "code": "BUCKET_LOGGING_SET", "message": "Logging is on."}
    emulator.control.fault("delete_bucket", times=None, **refusal)
    cluster.delete(BUCKET, "photos")
    message = stalled(cluster, "photos", "DeleteRefused")
    assert "BUCKET_LOGGING_SET: Logging is on." in message
    assert "deletionPolicy: Retain" in message
    emulator.control.wait_for_calls("delete_bucket", 2)
    assert "photos" in emulator.control.buckets()
    emulator.control.clear_faults()
    cluster.annotate(BUCKET, "photos", reconcile_requested_at="logging is off")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}
    assert emulator.control.count("delete_bucket") <= 4


def test_a_finalizer_stripped_by_hand_changes_nothing_of_what_the_policy_says(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    for name, policy in (("doomed", "Delete"), ("kept", "Retain")):
        cluster.apply(a_bucket(name, deletionPolicy=policy))
        cluster.ready(BUCKET, name)
    os.kill(operator.pid, signal.SIGSTOP)  # else it would put the finalizer back in between
    for name in ("doomed", "kept"):
        cluster.patch(BUCKET, name, STRIPPED)
        cluster.delete(BUCKET, name)
        cluster.gone(BUCKET, name)
    os.kill(operator.pid, signal.SIGCONT)
    eventually(lambda: "doomed" not in emulator.control.buckets(), what="the deletion by policy")
    eventually(lambda: "kept vanished" in operator.log)
    operator.wait_idle()
    assert set(emulator.control.buckets()) == {"kept"}
    assert emulator.control.count("delete_bucket") == 1


def test_one_that_vanished_waits_for_its_keys_and_leaves_its_heir_alone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    for name in ("awaited", "inherited"):
        cluster.apply(a_bucket(name, deletionPolicy="Delete"))
        cluster.apply(a_key(name, bucketRefs=refs(name)))
        cluster.ready(KEY, name)
        cluster.delete(BUCKET, name)
        stalled(cluster, name, "DeletionBlocked")
    cluster.apply(a_bucket("heir", bucketName="inherited"))
    stalled(cluster, "heir", "BucketClaimed")

    for name in ("awaited", "inherited"):
        cluster.patch(BUCKET, name, STRIPPED)
        cluster.gone(BUCKET, name)
    stalled(cluster, "heir", "BucketExists", 5)
    assert set(emulator.control.buckets()) == {"awaited", "inherited"}
    for name in ("awaited", "inherited"):
        cluster.delete(KEY, name)
        cluster.gone(KEY, name)

    eventually(lambda: "awaited" not in emulator.control.buckets(), 5)
    assert set(emulator.control.buckets()) == {"inherited"}
    assert calls(emulator, "inherited", "delete_bucket") == 0


@pytest.fixture
def many_namespaces(whole_cluster: Cluster) -> Iterator[list[Cluster]]:
    """Fifty of them, which are gone afterwards whatever happened."""
    tag = secrets.token_hex(3)
    teams = [whole_cluster.within(f"team-{tag}-{number:02}") for number in range(50)]
    for team in teams:
        team.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team.namespace}})
    yield teams
    for team in teams:
        if team.get("Namespace", team.namespace) is not None:
            whole_cluster.drop_namespace(team.namespace)


@pytest.mark.timeout(300)
def test_fifty_namespaces_deleted_at_once_all_go_and_leave_what_retain_kept(
    many_namespaces: list[Cluster], emulator: Emulator, run_operator: RunOperator
) -> None:
    """In whatever order Kubernetes deletes buckets, keys and Secrets."""
    names = [team.namespace for team in many_namespaces]
    run_operator(watch_namespaces=None, rate_limit=500)
    for team in many_namespaces:
        team.apply(
            a_bucket("gone", bucketName=f"gone-{team.namespace}", deletionPolicy="Delete"),
            a_bucket("kept", bucketName=f"kept-{team.namespace}"),
            a_key("app", bucketRefs=refs("gone", "kept")),
        )
    for team in many_namespaces:
        team.ready(KEY, "app", deadline=60)
    assert len(emulator.control.live_keys()) == len(names)

    for team in many_namespaces:
        team.delete("Namespace", team.namespace)

    def left() -> list[str]:
        return [t.namespace for t in many_namespaces if t.get("Namespace", t.namespace)]

    eventually(lambda: not left(), 120, what="all namespaces gone")
    # The operator watches all namespaces, and those of earlier tests may still be going.
    of_ours = {bucket for bucket in emulator.control.buckets() if bucket.endswith(tuple(names))}
    assert of_ours == {f"kept-{name}" for name in names}
    keys = emulator.control.state()["keys"]
    assert [key for key in keys if key["live"] or key["listed"]] == []
