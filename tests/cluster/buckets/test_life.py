"""Whose a bucket is, and how it comes to be and is kept (docs/bucket-protocol.md)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import (
    CALLS,
    CHANGING,
    about,
    calls,
    kubectl_line,
    stalled,
    unsynced,
    writes_since,
)
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, Manifest, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster

# ---------------------------------------------------------------- intent and provenance


def test_the_intent_is_there_before_the_create_and_goes_with_its_outcome(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    silence = emulator.control.fault("create_bucket", hang="before")
    emulator.control.fault("create_bucket", nth=2, odd="bucket_made_bare")
    cluster.apply(a_bucket("photos", encryptionEnabled=True, versioningEnabled=True))

    emulator.control.wait_for_calls("create_bucket", 1, arrived=True)
    status = cluster.found(BUCKET, "photos")["status"]
    assert status["createIntent"] is True
    assert "provenance" not in status
    assert condition({"status": status}, "Reconciling")["status"] == "True"
    emulator.control.clear_faults(silence)

    # The next create does half of its work and answers 500: what lacks is repaired.
    status = cluster.ready(BUCKET, "photos")["status"]
    assert status["provenance"] == "Created"
    assert "createIntent" not in status
    found = emulator.control.buckets()["photos"]
    assert (found["encryptionEnabled"], found["versioningEnabled"]) == (True, True)
    assert emulator.control.count("create_bucket") == 2


def test_a_create_whose_answer_was_lost_is_seen_and_not_sent_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    emulator.control.fault("create_bucket", drop="after")
    cluster.apply(a_bucket("photos"))
    assert cluster.ready(BUCKET, "photos")["status"]["provenance"] == "Created"
    assert emulator.control.count("create_bucket") == 1


def test_a_name_that_the_service_calls_taken_is_a_strangers(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    """Its status says absent, its create says taken: so the intent proves nothing."""
    run_operator(trusted_namespaces=[namespace])
    for name in ("theirs", "found"):
        emulator.control.add_bucket(name)
        emulator.control.hide_bucket(name)
    cluster.apply(a_bucket("theirs"), a_bucket("found", adoptionPolicy="IfExists"))
    for name in ("theirs", "found"):
        assert "is taken at the service" in stalled(cluster, name, "BucketExists")
        status = cluster.found(BUCKET, name)["status"]
        assert "createIntent" not in status
        assert "provenance" not in status
        assert calls(emulator, name, "create_bucket") == 1
        emulator.control.hide_bucket(name, hidden=False)
        cluster.annotate(BUCKET, name, reconcile_requested_at="now")
    assert cluster.ready(BUCKET, "found")["status"]["provenance"] == "Adopted"
    eventually(lambda: "kubectl patch" in stalled(cluster, "theirs", "BucketExists"))
    assert emulator.control.count(*CHANGING) == 2


def test_a_create_that_does_not_show_yet_is_not_sent_again_nor_disowned(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Answered 200 and not seen: for less than the settle time, and for longer."""
    run_operator(listing_settle="3s", resync_interval="1s")
    absent = {"status": 499, "code": "NOT_FOUND", "message": "Object not found."}
    for name in ("slow", "slower"):
        times = 1 if name == "slow" else None  # after the first look, which is true
        emulator.control.fault("bucket_status", contains=f'"{name}"', nth=2, times=times, **absent)
    shown_at_last = emulator.control.fault("bucket_status", contains='"slow"', nth=3, hold="before")
    cluster.apply(a_bucket("slow"), a_bucket("slower"))
    for name in ("slow", "slower"):
        seen = cluster.until(BUCKET, name, "Reconciling", "Progressing")
        eventually(partial(does_not_show, cluster, name))
    emulator.control.clear_faults(shown_at_last)
    assert cluster.ready(BUCKET, "slow")["status"]["provenance"] == "Created"
    assert calls(emulator, "slow", "create_bucket") == 1

    # The second try is told that the name is taken: by the first, of which this process knows.
    emulator.control.wait_for_calls("create_bucket", 3)
    first, second = [
        call for call in emulator.control.journal("create_bucket") if about(call) == "slower"
    ][:2]
    assert second["code"] == "DUPLICATE"
    assert second["time"] - first["time"] >= 3.0
    eventually(partial(does_not_show, cluster, "slower"))
    seen = cluster.found(BUCKET, "slower")
    assert condition(seen, "Stalled") == {}
    assert seen["status"]["createIntent"] is True
    emulator.control.clear_faults()
    assert cluster.ready(BUCKET, "slower")["status"]["provenance"] == "Created"


def does_not_show(cluster: Cluster, name: str) -> bool:
    return "does not show the bucket yet" in _synced(cluster, name)


def _synced(cluster: Cluster, name: str) -> str:
    return str(condition(cluster.found(BUCKET, name), "Synced")["message"])


def test_no_copy_passes_for_the_owner(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Restored with its metadata, renamed, or cloned with its status even by an admin."""
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    original = cluster.ready(BUCKET, "photos")

    cluster.apply(a_bucket("renamed", bucketName="photos", deletionPolicy="Delete"))
    assert "AmoveBucket photos;" in stalled(cluster, "renamed", "BucketClaimed")
    cluster.patch(BUCKET, "renamed", {"status": _proof(original)}, "status")
    cluster.annotate(BUCKET, "renamed", reconcile_requested_at="with a foreign status")
    eventually(lambda: "provenance" not in cluster.found(BUCKET, "renamed")["status"])
    stalled(cluster, "renamed", "BucketClaimed")

    # Let go of, not deleted; then brought back by a backup that strips status, and one that keeps.
    cluster.patch(BUCKET, "photos", {"spec": {"deletionPolicy": "Retain"}})
    cluster.delete(BUCKET, "photos")
    cluster.gone(BUCKET, "photos")
    stalled(cluster, "renamed", "BucketExists")
    cluster.apply(_restored(original))
    cluster.patch(BUCKET, "photos", {"status": original["status"]}, "status")
    stalled(cluster, "photos", "BucketExists")
    for name in ("photos", "renamed"):
        status = cluster.found(BUCKET, name)["status"]
        assert "provenance" not in status
        assert status.get("ownerUID") != original["metadata"]["uid"]
        cluster.delete(BUCKET, name)
        cluster.gone(BUCKET, name)
    assert emulator.control.count("create_bucket") == 1
    assert emulator.control.count("update_bucket", "delete_bucket") == 0


def _proof(original: Manifest) -> Manifest:
    return {
        key: original["status"][key]
        for key in ("ownerUID", "provenance", "bucketName", "cloudAccountId", "observed")
    }


def _restored(original: Manifest) -> Manifest:
    """As Velero does it: spec, labels, annotations and finalizers."""
    metadata = original["metadata"]
    kept = {key: metadata[key] for key in ("name", "annotations", "finalizers") if key in metadata}
    return {**original, "metadata": kept, "status": None}


def test_the_line_that_bucketexists_prints_makes_an_admin_adopt_it(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    emulator.control.add_bucket("archive", encryptionEnabled=True, isPublic=True)
    cluster.apply(a_bucket("archive", versioningEnabled=True))
    message = stalled(cluster, "archive", "BucketExists")

    # Somebody moves an unmanaged flag after our look: adoption must not put it back.
    emulator.control.set_flags("archive", encryptionEnabled=False)
    cluster.plane.kubectl(*kubectl_line(message))

    assert cluster.ready(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    eventually(lambda: emulator.control.buckets()["archive"]["versioningEnabled"])
    found = emulator.control.buckets()["archive"]
    assert (found["isPublic"], found["encryptionEnabled"]) == (True, False)
    (update,) = emulator.control.journal("update_bucket")
    assert {key: update["body"][key] for key in ("isPublic", "isEncrypted")} == {
        "isPublic": True,
        "isEncrypted": False,
    }


def test_a_bucket_taken_over_with_another_object_lock_is_left_alone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    emulator.control.add_bucket("archive")
    cluster.apply(a_bucket("archive", adoptionPolicy="IfExists", objectLockEnabled=True))
    assert "cannot be changed" in stalled(cluster, "archive", "ObjectLockMismatch")
    assert emulator.control.count(*CHANGING) == 0
    refused = cluster.plane.kubectl(
        "patch",
        "amovebucket/archive",
        f"--namespace={namespace}",
        "--type=merge",
        '--patch={"spec": {"objectLockEnabled": false}}',
        check=False,
    )
    assert "objectLockEnabled" in refused.stderr
    assert "immutable" in refused.stderr


# ---------------------------------------------------------------- Observe


def test_observe_only_reads_shows_drift_and_lets_go(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    emulator.control.add_bucket("watched", encryptionEnabled=True)
    watched: dict[str, Any] = {"managementPolicy": "Observe", "deletionPolicy": "Delete"}
    cluster.apply(
        a_bucket("watched", versioningEnabled=True, objectLockEnabled=True, **watched),
        a_bucket("absent", **watched),
    )
    seen = unsynced(cluster, "watched", "DriftObserved")
    assert condition(seen, "Ready")["status"] == "True"
    message = condition(seen, "Synced")["message"]
    assert "versioningEnabled is false, the spec says true" in message
    assert "objectLockEnabled is false, the spec says true" in message
    assert seen["status"]["provenance"] == "Adopted"
    assert seen["status"]["observed"]["encryptionEnabled"] is True
    assert "does not exist" in stalled(cluster, "absent", "BucketMissing")

    for name in ("watched", "absent"):
        cluster.delete(BUCKET, name)
        cluster.gone(BUCKET, name)
    assert "watched" in emulator.control.buckets()
    assert emulator.control.count(*CHANGING) == 0


# ---------------------------------------------------------------- gone behind our back


def test_an_adopted_bucket_that_vanished_is_missed_and_a_created_one_made_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    operator = run_operator(trusted_namespaces=[namespace])
    emulator.control.add_bucket("adopted")
    cluster.apply(
        a_bucket("adopted", adoptionPolicy="IfExists"),
        a_bucket("created", versioningEnabled=True),
    )
    for name in ("adopted", "created"):
        cluster.ready(BUCKET, name)
        emulator.control.drop_bucket(name)
        cluster.annotate(BUCKET, name, reconcile_requested_at="now")

    assert "was not created here" in stalled(cluster, "adopted", "BucketMissing")
    eventually(lambda: emulator.control.buckets().get("created", {}).get("versioningEnabled"))
    status = cluster.until(BUCKET, "created", "Synced")["status"]
    assert status["provenance"] == "Created"
    eventually(lambda: "Recreated" in [reason for reason, _ in cluster.events("created")])
    eventually(lambda: "BucketMissing" in [reason for reason, _ in cluster.events("adopted")])
    assert operator.metric("buckets_lost_total") == 2
    assert operator.metric("buckets_recreated_total") == 1
    assert "adopted" not in emulator.control.buckets()


def test_a_paused_bucket_does_not_keep_others_from_being_made_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Others are looked at first (a mass loss?), but this one may not be."""
    run_operator()
    cluster.apply(a_bucket("paused"), a_bucket("lost"))
    cluster.ready(BUCKET, "lost")
    cluster.ready(BUCKET, "paused")
    cluster.annotate(BUCKET, "paused", paused="true")
    unsynced(cluster, "paused", "Paused")
    emulator.control.drop_bucket("lost")
    cluster.annotate(BUCKET, "lost", reconcile_requested_at="now")
    eventually(lambda: "lost" in emulator.control.buckets())


def test_a_mass_loss_creates_and_lets_go_of_nothing_until_it_is_accepted(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    names = [f"photos-{number}" for number in range(6)]
    cluster.apply(*(a_bucket(name, deletionPolicy="Delete") for name in names))
    for name in names:
        cluster.ready(BUCKET, name)
    # A new one is no loss: nobody looks at the others because of it.
    assert emulator.control.count("bucket_status") == 2 * len(names)
    for name in names:
        emulator.control.hide_bucket(name)
    after = emulator.control.last_seq()

    cluster.delete(BUCKET, names[0])
    for name in names[1:]:
        cluster.annotate(BUCKET, name, reconcile_requested_at="now")

    for name in names:
        seen = unsynced(cluster, name, "MassBucketLoss")
        assert "storage.amove.io/accept-loss" in condition(seen, "Synced")["message"]
        assert condition(seen, "Ready")["status"] == "True"
    assert operator.metric("mass_loss", kind=BUCKET) == 1
    made = [entry["call"] for entry in emulator.control.journal(after=after)]
    assert not set(made) & set(CHANGING)

    # One team knows that its bucket is gone for good.
    emulator.control.drop_bucket(names[1])
    cluster.annotate(BUCKET, names[1], accept_loss="yes")
    cluster.until(BUCKET, names[1], "Synced", "Settled")
    assert calls(emulator, names[1], "create_bucket") == 2
    for name in names[2:]:
        unsynced(cluster, name, "MassBucketLoss")
    for name in (names[0], *names[2:]):
        emulator.control.hide_bucket(name, hidden=False)
    for name in names[2:]:
        cluster.annotate(BUCKET, name, reconcile_requested_at="back again")
    cluster.gone(BUCKET, names[0])
    for name in names[2:]:
        cluster.until(BUCKET, name, "Synced", "Settled")
    assert names[0] not in emulator.control.buckets()
    assert operator.metric("mass_loss", kind=BUCKET) == 0


def test_what_says_nothing_of_the_bucket_leaves_it_stalled_as_it_was(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    """A pause, and an answer that is none."""
    run_operator(trusted_namespaces=[namespace])
    emulator.control.add_bucket("adopted")
    emulator.control.add_bucket("theirs")
    cluster.apply(a_bucket("adopted", adoptionPolicy="IfExists"), a_bucket("theirs"))
    stalled(cluster, "theirs", "BucketExists")
    cluster.ready(BUCKET, "adopted")
    emulator.control.drop_bucket("adopted")
    cluster.annotate(BUCKET, "adopted", reconcile_requested_at="now")
    stalled(cluster, "adopted", "BucketMissing")
    reasons = {"adopted": "BucketMissing", "theirs": "BucketExists"}

    emulator.control.fault("bucket_status", times=None, status=500)
    for name, reason in reasons.items():
        cluster.annotate(BUCKET, name, reconcile_requested_at="while it is down")
        still_stalled(cluster, name, "ApiUnavailable", reason)
        cluster.annotate(BUCKET, name, paused="true")
        still_stalled(cluster, name, "Paused", reason)
    emulator.control.clear_faults()
    for name, reason in reasons.items():
        cluster.annotate(BUCKET, name, paused=None)
        stalled(cluster, name, reason)
    assert emulator.control.count(*CHANGING) == 0


def still_stalled(cluster: Cluster, name: str, synced: str, reason: str) -> None:
    """Only Synced tells of it."""
    seen = cluster.until(BUCKET, name, "Synced", synced, status="False")
    for kind, status in (("Ready", "False"), ("Stalled", "True")):
        one = condition(seen, kind)
        assert (one["status"], one["reason"]) == (status, reason)


# ---------------------------------------------------------------- the default account


def test_a_changed_default_account_moves_nothing_and_is_told(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    former, later = emulator.cloud_account_id, emulator.control.add_account()
    first = run_operator(cloud_account_id=former)
    cluster.apply(a_bucket("photos"), a_bucket("doomed", deletionPolicy="Delete"))
    for name in ("photos", "doomed"):
        cluster.ready(BUCKET, name)
    first.stop()
    after = emulator.control.last_seq()

    second = run_operator(cloud_account_id=later, resync_interval="1s")
    eventually(lambda: f"Pinned to cloud account {former}" in _synced(cluster, "photos"))
    seen = cluster.until(BUCKET, "photos", "Synced", "Settled")
    assert f"the default is {later} by now" in condition(seen, "Synced")["message"]
    assert condition(seen, "Ready")["message"] == "Bucket photos is there."
    assert seen["status"]["cloudAccountId"] == former
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    eventually(lambda: emulator.control.buckets()["photos"]["versioningEnabled"])
    cluster.delete(BUCKET, "doomed")
    cluster.gone(BUCKET, "doomed")
    made = [call for call in emulator.control.journal(after=after) if call["call"] in CALLS]
    assert {(call["body"] or call["query"])["cloudAccountId"] for call in made} == {former}

    cluster.apply(a_bucket("new"))
    assert cluster.ready(BUCKET, "new")["status"]["cloudAccountId"] == later
    second.stop()
    run_operator(cloud_account_id=former, resync_interval="1s")
    eventually(lambda: _synced(cluster, "photos") == "")
    assert set(emulator.control.buckets()) == {"photos", "new"}


# ---------------------------------------------------------------- pause


def test_a_pause_stops_every_call_for_the_object_its_deletion_included(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(
        a_bucket("unborn", annotations={"storage.amove.io/paused": "true"}),
        a_bucket("living", versioningEnabled=True, deletionPolicy="Delete"),
    )
    assert "nothing is called" in _paused(cluster, "unborn")
    assert calls(emulator, "unborn", *CALLS) == 0
    cluster.ready(BUCKET, "living")

    cluster.annotate(BUCKET, "living", paused="true")
    _paused(cluster, "living")
    before = calls(emulator, "living", *CALLS)
    emulator.control.set_flags("living", versioningEnabled=False)
    cluster.annotate(BUCKET, "living", reconcile_requested_at="now")
    cluster.delete(BUCKET, "living")
    eventually(lambda: "deletion waits" in _paused(cluster, "living"))
    assert condition(cluster.found(BUCKET, "living"), "Ready")["status"] == "True"
    assert calls(emulator, "living", *CALLS) == before

    for name in ("unborn", "living"):
        cluster.annotate(BUCKET, name, paused=None)
    cluster.ready(BUCKET, "unborn")
    cluster.gone(BUCKET, "living")
    assert list(emulator.control.buckets()) == ["unborn"]


def _paused(cluster: Cluster, name: str) -> str:
    return str(condition(unsynced(cluster, name, "Paused"), "Synced")["message"])


# ---------------------------------------------------------------- nothing to do


def test_settled_buckets_cost_a_look_at_each_resync_and_no_write(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    rests_through_a_sweep(cluster, emulator, run_operator, 40)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_settled_buckets_cost_a_look_at_each_resync_and_no_write(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    rests_through_a_sweep(cluster, emulator, run_operator, 1000)


def rests_through_a_sweep(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, count: int
) -> None:
    manifests = [a_bucket(f"photos-{number:04}", versioningEnabled=True) for number in range(count)]
    names = {manifest["metadata"]["name"] for manifest in manifests}
    first = run_operator(rate_limit=1000, concurrency=64)
    cluster.apply(*manifests)
    emulator.control.wait_for_calls("bucket_status", 2 * count, deadline=1200)
    eventually(lambda: settled(cluster) == names, what="all settled")
    first.stop()
    after, since = emulator.control.last_seq(), cluster.now()

    run_operator(rate_limit=1000, resync_interval="2s")
    cluster.apply(*manifests)  # the same again
    emulator.control.wait_for_calls("bucket_status", 3 * count)
    eventually(lambda: looked_at(emulator, after) == names, what="a whole sweep")

    assert writes_since(cluster, since) == []
    made = {entry["call"] for entry in emulator.control.journal(after=after)}
    assert made == {"bucket_status", "get_all"}


def settled(cluster: Cluster) -> set[str]:
    """The names of those that are Ready and Synced."""
    return {
        each["metadata"]["name"]
        for each in cluster.every(BUCKET)
        if all(condition(each, kind).get("status") == "True" for kind in ("Ready", "Synced"))
    }


def looked_at(emulator: Emulator, after: int) -> set[str]:
    return {
        entry["body"]["bucketName"] for entry in emulator.control.journal("bucket_status", after)
    }
