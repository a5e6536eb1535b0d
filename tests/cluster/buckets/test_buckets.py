"""AmoveBuckets from manifest to the service and back, by the operator as it is run."""

from __future__ import annotations

from typing import Any

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster

OFF = {
    "isPublic": False,
    "encryptionEnabled": False,
    "versioningEnabled": False,
    "objectLockEnabled": False,
}
CHANGING = ("create_bucket", "update_bucket", "delete_bucket")


def flags(emulator: Emulator, name: str) -> dict[str, bool]:
    """The bucket's four flags as the service has them."""
    found: dict[str, Any] = emulator.control.buckets()[name]
    return {flag: found[flag] for flag in OFF}


def have(emulator: Emulator, name: str, **wanted: bool) -> None:
    """Wait until the flags at the service are these, and all others off."""
    eventually(lambda: flags(emulator, name) == OFF | wanted, what=f"{name} {wanted}")


def test_a_new_bucket_has_each_flag_that_its_spec_asks_for(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    asked: dict[str, tuple[dict[str, Any], dict[str, bool]]] = {
        "plain": ({}, {}),
        "public": ({"public": True}, {"isPublic": True}),
        "encrypted": ({"encryptionEnabled": True}, {"encryptionEnabled": True}),
        "versioned": ({"versioningEnabled": True}, {"versioningEnabled": True}),
        "locked": (
            {"objectLockEnabled": True},
            {"objectLockEnabled": True, "versioningEnabled": True},
        ),
        "everything": (
            {
                "public": True,
                "encryptionEnabled": True,
                "versioningEnabled": True,
                "objectLockEnabled": True,
            },
            dict.fromkeys(OFF, True),
        ),
    }

    cluster.apply(*(a_bucket(name, **spec) for name, (spec, _) in asked.items()))

    for name, (_, wanted) in asked.items():
        status = cluster.ready(BUCKET, name)["status"]
        assert flags(emulator, name) == OFF | wanted
        assert status["observed"] == OFF | wanted
        assert status["provenance"] == "Created"
        assert status["cloudAccountId"] == emulator.cloud_account_id
        assert "createIntent" not in status


def test_a_bucket_may_have_another_name_than_its_resource(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", bucketName="company-photos.2026"))
    status = cluster.ready(BUCKET, "photos")["status"]
    assert status["bucketName"] == "company-photos.2026"
    assert list(emulator.control.buckets()) == ["company-photos.2026"]


def test_changed_flags_converge(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", versioningEnabled=False))
    cluster.ready(BUCKET, "photos")

    cluster.apply(a_bucket("photos", versioningEnabled=True, encryptionEnabled=True))
    seen = cluster.ready(BUCKET, "photos")
    have(emulator, "photos", versioningEnabled=True, encryptionEnabled=True)
    assert seen["status"]["observed"]["versioningEnabled"] is True

    cluster.apply(a_bucket("photos", versioningEnabled=False, encryptionEnabled=True))
    cluster.ready(BUCKET, "photos")
    have(emulator, "photos", versioningEnabled=False, encryptionEnabled=True)
    assert emulator.control.count("update_bucket") == 2


def test_an_update_always_names_all_three_flags(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", versioningEnabled=False, encryptionEnabled=True))
    cluster.ready(BUCKET, "photos")
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    have(emulator, "photos", versioningEnabled=True, encryptionEnabled=True)
    (update,) = emulator.control.wait_for_calls("update_bucket", 1)
    assert update["body"] == {
        "cloudAccountId": emulator.cloud_account_id,
        "bucketName": "photos",
        "isPublic": False,
        "isEncrypted": True,
        "versioningEnabled": True,
    }


def test_drift_at_the_service_is_repaired_and_unmanaged_flags_stay(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    cluster.ready(BUCKET, "photos")

    emulator.control.set_flags("photos", versioningEnabled=False, encryptionEnabled=True)

    have(emulator, "photos", versioningEnabled=True, encryptionEnabled=True)
    eventually(
        lambda: cluster.found(BUCKET, "photos")["status"]["observed"]["encryptionEnabled"],
        what="the unmanaged flag shown as it was found",
    )
    cluster.ready(BUCKET, "photos")


def test_a_bucket_that_vanished_at_the_service_is_made_again(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    cluster.ready(BUCKET, "photos")
    emulator.control.drop_bucket("photos")
    eventually(lambda: "photos" in emulator.control.buckets())
    have(emulator, "photos", versioningEnabled=True)
    eventually(lambda: any(reason == "Recreated" for reason, _ in cluster.events("photos")))


def test_a_deleted_resource_leaves_its_bucket_unless_told_otherwise(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    cluster.delete(BUCKET, "photos")
    cluster.gone(BUCKET, "photos")
    assert "photos" in emulator.control.buckets()
    assert emulator.control.count("delete_bucket") == 0


def test_with_the_policy_delete_the_bucket_goes_first(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    cluster.delete(BUCKET, "photos")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}
    assert emulator.control.count("delete_bucket") == 1


def test_a_bucket_with_objects_is_never_emptied_and_goes_once_it_is_empty(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="1s")
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    emulator.control.put_object("photos", "cat.jpg", "meow")

    cluster.delete(BUCKET, "photos")

    seen = cluster.until(BUCKET, "photos", "Stalled", "BucketNotEmpty")
    assert condition(seen, "Ready")["status"] == "False"
    assert emulator.control.buckets()["photos"]["objects"] == 1
    emulator.control.empty_bucket("photos")
    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets() == {}


def test_retain_releases_a_deletion_that_the_service_refuses(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "photos")
    emulator.control.put_object("photos", "cat.jpg", "meow")
    cluster.delete(BUCKET, "photos")
    cluster.until(BUCKET, "photos", "Stalled", "BucketNotEmpty")

    cluster.patch(BUCKET, "photos", {"spec": {"deletionPolicy": "Retain"}})

    cluster.gone(BUCKET, "photos")
    assert emulator.control.buckets()["photos"]["objects"] == 1


def test_a_bucket_that_exists_already_is_nobodys_prey(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    emulator.control.add_bucket("theirs", versioningEnabled=True)
    cluster.apply(a_bucket("theirs", versioningEnabled=False, deletionPolicy="Delete"))
    seen = cluster.until(BUCKET, "theirs", "Stalled", "BucketExists")
    assert "kubectl patch amovebucket theirs" in condition(seen, "Stalled")["message"]
    assert "provenance" not in seen["status"]
    assert "observed" not in seen["status"]  # another team's flags are not ours to show
    cluster.delete(BUCKET, "theirs")
    cluster.gone(BUCKET, "theirs")
    assert emulator.control.count(*CHANGING) == 0


def test_a_trusted_namespace_may_adopt_and_keeps_unmanaged_flags(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    emulator.control.add_bucket("archive", encryptionEnabled=True)
    cluster.apply(a_bucket("archive", adoptionPolicy="IfExists", versioningEnabled=True))
    seen = cluster.ready(BUCKET, "archive")
    assert seen["status"]["provenance"] == "Adopted"
    have(emulator, "archive", encryptionEnabled=True, versioningEnabled=True)
    assert emulator.control.count("create_bucket") == 0


def test_what_needs_trust_is_refused_without_a_call_and_names_the_setting(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    other = emulator.control.add_account()
    asked: dict[str, dict[str, Any]] = {
        "open": {"public": True},
        "adopted": {"adoptionPolicy": "IfExists"},
        "observed": {"managementPolicy": "Observe"},
        "elsewhere": {"cloudAccountId": other},
    }
    cluster.apply(*(a_bucket(name, **spec) for name, spec in asked.items()))
    for name in asked:
        seen = cluster.until(BUCKET, name, "Stalled", "NotPermitted")
        assert "AMOVE_TRUSTED_NAMESPACES" in condition(seen, "Stalled")["message"]
        assert condition(seen, "Ready")["status"] == "False"
    assert emulator.control.count("bucket_status", *CHANGING) == 0


def test_the_second_resource_of_a_name_waits_until_the_first_is_gone(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("first", bucketName="shared", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "first")
    cluster.apply(a_bucket("second", bucketName="shared"))
    seen = cluster.until(BUCKET, "second", "Stalled", "BucketClaimed")
    assert "first" in condition(seen, "Stalled")["message"]
    assert emulator.control.count("create_bucket") == 1

    cluster.delete(BUCKET, "first")

    cluster.ready(BUCKET, "second")
    assert emulator.control.count("create_bucket") == 2
