"""How buckets go: told to, waited for, let go of, and whole namespaces at once."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import CALLS, backs_off, calls, stalled
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE


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
    cluster.gone(BUCKET, "photos")
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
    cluster.gone(BUCKET, "photos")
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
    assert backs_off(emulator, "photos", "delete_bucket")
    assert "photos" in emulator.control.buckets()
    emulator.control.clear_faults()
    cluster.annotate(BUCKET, "photos", reconcile_requested_at="logging is off")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}


def test_a_deletion_is_noted_before_its_first_call_and_what_is_refused_tells_one_thing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """So that after a crash nobody takes it for a loss; a refusal is told in its place."""
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    emulator.control.put_object("photos", "cat.jpg", "meow")
    silence = emulator.control.fault("delete_bucket", hang="before")
    cluster.delete(BUCKET, "photos")
    emulator.control.wait_for_calls("delete_bucket", 1, arrived=True)
    for kind, status in (("Reconciling", "True"), ("Synced", "False"), ("Ready", "False")):
        noted = condition(cluster.found(BUCKET, "photos"), kind)
        assert (noted["status"], noted["reason"]) == (status, "Deleting")

    emulator.control.clear_faults(silence)
    assert "never emptied" in stalled(cluster, "photos", "BucketNotEmpty")
    seen = cluster.found(BUCKET, "photos")
    assert condition(seen, "Reconciling") == {}
    assert seen["status"]["provenance"] == "Created"

    def told() -> int:
        """How many Events say so: the first follows the status that says so."""
        return [reason for reason, _ in cluster.events("photos")].count("BucketNotEmpty")

    eventually(told, what="the Event")
    emulator.control.empty_bucket("photos")
    cluster.annotate(BUCKET, "photos", reconcile_requested_at="it is empty")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}
    assert told() == 1


def test_a_deletion_that_does_not_show_yet_is_not_asked_for_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The service answers 200 and still shows the bucket; and again, after the settle time."""
    run_operator(listing_settle="3s", resync_interval="1s")
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    emulator.control.fault("delete_bucket", status=200, body="")
    second_time = emulator.control.fault("delete_bucket", nth=2, hold="before")
    cluster.delete(BUCKET, "photos")

    seen = cluster.until(BUCKET, "photos", "Reconciling", "Deleting")
    eventually(lambda: "still shows the bucket" in _told(cluster, "photos"))
    assert seen["status"]["provenance"] == "Created"
    emulator.control.clear_faults(second_time)
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}
    first, second = (call["time"] for call in emulator.control.journal("delete_bucket"))
    assert second - first >= 3.0
    looks = [call["time"] for call in emulator.control.journal("bucket_status")]
    assert any(first < look < second for look in looks), "it was looked at meanwhile"


def _told(cluster: Cluster, name: str) -> str:
    return str(condition(cluster.found(BUCKET, name), "Synced").get("message", ""))


def test_a_finalizer_stripped_by_hand_changes_nothing_of_what_the_policy_says(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    for name, policy in (("doomed", "Delete"), ("kept", "Retain")):
        cluster.apply(a_bucket(name, deletionPolicy=policy))
        cluster.ready(BUCKET, name)
    os.kill(operator.pid, signal.SIGSTOP)  # else it would serve the deletion in between
    for name in ("doomed", "kept"):
        cluster.delete(BUCKET, name)  # before that the fence lets nobody take it off
        cluster.patch(BUCKET, name, STRIPPED)
        cluster.gone(BUCKET, name)
    os.kill(operator.pid, signal.SIGCONT)
    eventually(lambda: "doomed" not in emulator.control.buckets(), what="the deletion by policy")
    still = {"kind": BUCKET, "ready": "true"}
    eventually(lambda: operator.metric("objects", **still) == 0, what="that both are gone")
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
    stalled(cluster, "heir", "BucketExists")
    assert set(emulator.control.buckets()) == {"awaited", "inherited"}
    for name in ("awaited", "inherited"):
        cluster.delete(KEY, name)
        cluster.gone(KEY, name)

    eventually(lambda: "awaited" not in emulator.control.buckets())
    assert set(emulator.control.buckets()) == {"inherited"}
    assert calls(emulator, "inherited", "delete_bucket") == 0


def test_one_that_vanished_is_let_go_of_where_an_heir_is_there_or_it_was_paused(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The heir came while nobody could see it: the bucket may be meant to be its own."""
    operator = run_operator()
    names = ("replaced", "asleep", "doomed")
    for name in names:
        cluster.apply(a_bucket(name, deletionPolicy="Delete"))
        cluster.ready(BUCKET, name)
    cluster.annotate(BUCKET, "asleep", paused="true")
    cluster.until(BUCKET, "asleep", "Synced", "Paused", status="False")
    os.kill(operator.pid, signal.SIGSTOP)  # else it would serve the deletion in between
    for name in names:
        cluster.delete(BUCKET, name)  # before that the fence lets nobody take it off
        cluster.patch(BUCKET, name, STRIPPED)
        cluster.gone(BUCKET, name)
    cluster.apply(a_bucket("replaced", deletionPolicy="Delete"))
    os.kill(operator.pid, signal.SIGCONT)

    eventually(lambda: "doomed" not in emulator.control.buckets(), what="the deletion by policy")
    assert "exists already" in stalled(cluster, "replaced", "BucketExists")
    for name in names:
        operator.wait_log(f"{name} vanished")
    operator.wait_idle()
    assert set(emulator.control.buckets()) == {"replaced", "asleep"}
    (deletion,) = emulator.control.journal("delete_bucket")
    assert deletion["query"]["bucketName"] == "doomed"
    cluster.apply(a_bucket("asleep"))  # the name is free, and the bucket nobody's
    stalled(cluster, "asleep", "BucketExists")


@pytest.fixture(params=[10, pytest.param(50, marks=pytest.mark.long)])
def many_namespaces(
    request: pytest.FixtureRequest, whole_cluster: Cluster
) -> Iterator[list[Cluster]]:
    """So many of them, which are gone afterwards whatever happened."""
    tag = secrets.token_hex(3)
    teams = [whole_cluster.within(f"team-{tag}-{number:02}") for number in range(request.param)]
    for team in teams:
        team.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team.namespace}})
    yield teams
    for team in teams:
        if team.get("Namespace", team.namespace) is not None:
            whole_cluster.drop_namespace(team.namespace)


@pytest.mark.timeout(1200)
def test_namespaces_deleted_at_once_all_go_and_leave_what_retain_kept(
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
        team.ready(KEY, "app")
    assert len(emulator.control.live_keys()) == len(names)

    for team in many_namespaces:
        team.delete("Namespace", team.namespace)

    def left() -> list[str]:
        return [t.namespace for t in many_namespaces if t.get("Namespace", t.namespace)]

    eventually(lambda: not left(), 4 * PATIENCE, what="all namespaces gone")
    # The operator watches all namespaces, and those of earlier tests may still be going.
    of_ours = {bucket for bucket in emulator.control.buckets() if bucket.endswith(tuple(names))}
    assert of_ours == {f"kept-{name}" for name in names}
    keys = emulator.control.state()["keys"]
    assert [key for key in keys if key["live"] or key["listed"]] == []
