"""What the service refuses: one condition each, no hammering, a way out."""

from __future__ import annotations

from functools import partial

from amove_emulator import Emulator
from tests.cluster.bucket_words import (
    CALLS,
    CHANGING,
    backs_off,
    calls,
    stalled,
    unsynced,
    writes_since,
)
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster


def test_a_flag_that_will_not_move_is_tried_twice_and_again_at_the_resync(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos"), a_bucket("open"))
    for name in ("photos", "open"):
        cluster.ready(BUCKET, name)
        emulator.control.stick_flags(name, "isPublic")
        cluster.apply(a_bucket(name, public=True))

    for name in ("photos", "open"):
        seen = unsynced(cluster, name, "FlagRejected")
        assert "public is false, the spec says true" in condition(seen, "Synced")["message"]
        assert condition(seen, "Ready")["status"] == "True"
        assert calls(emulator, name, "update_bucket") == 2

    emulator.control.stick_flags("photos")
    cluster.annotate(BUCKET, "photos", reconcile_requested_at="the plan was changed")
    cluster.until(BUCKET, "photos", "Synced", "Settled")
    assert calls(emulator, "photos", "update_bucket") == 3
    cluster.apply(a_bucket("open", public=False))
    cluster.until(BUCKET, "open", "Synced", "Settled")
    assert calls(emulator, "open", "update_bucket") == 2


def test_a_flag_that_will_not_move_costs_one_update_at_each_resync(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    emulator.control.stick_flags("photos", "versioningEnabled")
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    unsynced(cluster, "photos", "FlagRejected")
    swept = emulator.control.count("get_all")
    updates = calls(emulator, "photos", "update_bucket")
    eventually(lambda: emulator.control.count("get_all") >= swept + 3)
    # Each of the three sweeps, and the one that was under way, may have come to it once.
    assert 2 <= calls(emulator, "photos", "update_bucket") - updates <= 4
    emulator.control.stick_flags("photos")
    cluster.until(BUCKET, "photos", "Synced", "Settled")


def test_a_refused_create_says_so_stalls_after_five_and_heals_by_itself(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    refusal = {"status": 499, "code": "DEFAULT", "message": "The name is not welcome here."}
    emulator.control.fault("create_bucket", times=5, **refusal)
    emulator.control.fault("create_bucket", nth=6, hold="before")
    cluster.apply(a_bucket("photos"))
    seen = unsynced(cluster, "photos", "ApiRefused")
    assert "DEFAULT: The name is not welcome here." in condition(seen, "Synced")["message"]
    assert condition(seen, "Ready")["reason"] == "ApiRefused"

    message = stalled(cluster, "photos", "ApiRefused")
    assert "The name is not welcome here." in message
    assert "reconcile-requested-at" in message
    answered = [call for call in emulator.control.journal("create_bucket") if call["done"]]
    assert len(answered) == 5
    status = cluster.found(BUCKET, "photos")["status"]
    assert not {"createIntent", "provenance"} & set(status)
    told = [reason for reason, _ in cluster.events("photos")]
    assert told.count("ApiRefused") <= 2
    assert told.count("Progressing") <= 1

    emulator.control.clear_faults()
    assert cluster.ready(BUCKET, "photos")["status"]["provenance"] == "Created"


def test_a_name_that_is_taken_is_only_looked_at_until_a_person_changes_something(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Its status says absent, its create says taken; the name goes free, and nobody can know."""
    run_operator(resync_interval="1s")
    names = ("asked", "changed")
    for name in names:
        emulator.control.add_bucket(name)
        emulator.control.hide_bucket(name)
        cluster.apply(a_bucket(name))
        assert "is taken at the service" in stalled(cluster, name, "BucketExists")
    change_their_minds(cluster, "still taken")
    for name in names:
        eventually(partial(tried, emulator, name, 2))
        eventually(partial(disowned, cluster, name))  # the last write of that pass
        assert "is taken at the service" in stalled(cluster, name, "BucketExists")
        emulator.control.drop_bucket(name)
    after, since = emulator.control.last_seq(), cluster.now()

    eventually(lambda: len(emulator.control.journal("bucket_status", after)) >= 3 * len(names))

    for name in names:
        assert tried(emulator, name, 2)
        stalled(cluster, name, "BucketExists")
    assert writes_since(cluster, since) == []
    change_their_minds(cluster, "it is free now")
    for name in names:
        assert cluster.ready(BUCKET, name)["status"]["provenance"] == "Created"
        assert tried(emulator, name, 3)


def change_their_minds(cluster: Cluster, why: str) -> None:
    cluster.annotate(BUCKET, "asked", reconcile_requested_at=why)
    versioned = not cluster.found(BUCKET, "changed")["spec"].get("versioningEnabled", False)
    cluster.apply(a_bucket("changed", versioningEnabled=versioned))


def disowned(cluster: Cluster, name: str) -> bool:
    return not cluster.found(BUCKET, name)["status"].get("createIntent")


def tried(emulator: Emulator, name: str, times: int) -> bool:
    return calls(emulator, name, "create_bucket") == times


def test_codes_that_nobody_knows_are_passed_on_and_heal_on_demand(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """To each of the three writes; between the tries the back-off grows up to the resync."""
    run_operator()
    for name in ("old", "going"):
        cluster.apply(a_bucket(name, deletionPolicy="Delete"))
        cluster.ready(BUCKET, name)
    strange = {"status": 499, "code": "MOON_PHASE", "message": "Not today.", "times": None}
    for call in CHANGING:
        emulator.control.fault(call, **strange)

    cluster.apply(a_bucket("new"), a_bucket("old", versioningEnabled=True))
    cluster.delete(BUCKET, "going")

    for name in ("new", "old"):
        seen = unsynced(cluster, name, "ApiRefused")
        assert "MOON_PHASE: Not today." in condition(seen, "Synced")["message"]
    assert condition(cluster.found(BUCKET, "new"), "Ready")["status"] == "False"
    assert condition(cluster.found(BUCKET, "old"), "Ready")["status"] == "True"
    assert "MOON_PHASE: Not today." in stalled(cluster, "going", "DeleteRefused")
    for name, call in (("new", CHANGING[0]), ("old", CHANGING[1]), ("going", CHANGING[2])):
        assert backs_off(emulator, name, call)

    emulator.control.clear_faults()
    for name in ("new", "old", "going"):
        cluster.annotate(BUCKET, name, reconcile_requested_at="now")
    cluster.ready(BUCKET, "new")
    cluster.until(BUCKET, "old", "Synced", "Settled")
    cluster.gone(BUCKET, "going")
    assert set(emulator.control.buckets()) == {"new", "old"}


def test_a_refused_name_heals_by_a_new_resource_and_a_refused_flag_by_the_spec(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", encryptionEnabled=True))
    cluster.ready(BUCKET, "photos")
    refusal = {"status": 499, "code": "ACCESS", "message": "Not in your plan.", "times": None}
    emulator.control.fault("update_bucket", contains='"versioningEnabled":true', **refusal)
    cluster.apply(a_bucket("photos", encryptionEnabled=True, versioningEnabled=True))
    unsynced(cluster, "photos", "ApiRefused")
    cluster.apply(a_bucket("photos", encryptionEnabled=True, versioningEnabled=False))
    cluster.until(BUCKET, "photos", "Synced", "Settled")
    assert emulator.control.buckets()["photos"]["versioningEnabled"] is False


def test_an_account_that_cannot_hold_buckets_is_named_without_a_call_and_read_again_on_demand(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    external = emulator.control.add_account(internal=False)
    emulator.control.change_account(active=False)
    account = emulator.cloud_account_id
    run_operator(trusted_namespaces=[namespace], cloud_account_id=account)
    cluster.apply(a_bucket("default"), a_bucket("external", cloudAccountId=external))
    assert f"{account} is not active" in stalled(cluster, "default", "AccountUnusable")
    assert f"{external} is not internal" in stalled(cluster, "external", "AccountUnusable")
    assert emulator.control.count(*CALLS) == 0

    emulator.control.change_account(active=True)
    cluster.annotate(BUCKET, "default", reconcile_requested_at="now")
    cluster.ready(BUCKET, "default")
    assert calls(emulator, "external", *CALLS) == 0


def test_without_a_default_account_the_setting_is_named(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    emulator.control.add_account()
    run_operator()
    cluster.apply(a_bucket("photos"))
    assert "AMOVE_CLOUD_ACCOUNT_ID" in stalled(cluster, "photos", "AccountUnknown")
    assert emulator.control.count(*CALLS) == 0
