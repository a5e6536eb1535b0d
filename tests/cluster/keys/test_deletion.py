"""A deleted key is revoked, whatever went before it; a trusted namespace may keep it."""

from __future__ import annotations

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_ids, revoked


def test_a_key_is_revoked_when_its_secret_or_its_bucket_went_first(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    names = ("secret", "bucket", "both")
    cluster.apply(*(a_bucket(name) for name in names))
    cluster.apply(*(a_key(name, bucketRefs=refs(name)) for name in names))
    for name in names:
        cluster.ready(KEY, name)
    # While nobody looks, so that nothing is repaired in between.
    operator.stop()
    for name in ("secret", "both"):
        cluster.delete("Secret", name)
    for name in names:
        cluster.delete(KEY, name)
    for name in ("bucket", "both"):
        cluster.delete(BUCKET, name)

    run_operator()

    for name in names:
        cluster.gone(KEY, name)
        assert cluster.get("Secret", name) is None
    for name in ("bucket", "both"):
        cluster.gone(BUCKET, name)
    assert live_ids(emulator) == set()


def test_a_deleted_namespace_takes_its_keys_along(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos", deletionPolicy="Delete"))
    kept = a_key("kept", bucketRefs=refs("photos"), deletionPolicy="Retain")
    rotated = a_key("rotated", bucketRefs=refs("photos"), rotation={"gracePeriod": "1h"})
    cluster.apply(kept, rotated)
    old = [cluster.ready(KEY, name)["status"]["key"]["id"] for name in ("kept", "rotated")]
    cluster.annotate(KEY, "rotated", rotate_requested_at="now")
    another_key(cluster, KEY, "rotated", old[1])

    cluster.delete("Namespace", namespace)

    cluster.gone("Namespace", namespace)
    assert live_ids(emulator) == set()
    assert "photos" not in emulator.control.buckets()


def test_while_the_service_is_down_a_deletion_waits_says_so_and_goes_on_afterwards(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in "ab"))
    for name in "ab":
        cluster.ready(KEY, name)
    emulator.control.fault("*", status=503, times=None)

    for name in "ab":
        cluster.delete(KEY, name)

    for name in "ab":
        cluster.until(KEY, name, "Synced", status="False")
        assert cluster.found(KEY, name)["metadata"]["finalizers"]
    assert len(live_ids(emulator)) == 2

    emulator.control.clear_faults()

    for name in "ab":
        cluster.gone(KEY, name)
    assert live_ids(emulator) == set()


def test_a_refused_revocation_keeps_the_key_cr_until_it_succeeds(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    emulator.control.fault("delete_storage_key", status=499, code="ACCESS", message="No.", times=4)

    cluster.delete(KEY, "app")

    seen = cluster.until(KEY, "app", "Synced", "ApiRefused", status="False")
    assert "No." in condition(seen, "Synced")["message"]
    cluster.gone(KEY, "app")
    assert live_ids(emulator) == set()
    assert len(revoked(emulator)) == 5


def test_a_trusted_namespace_keeps_key_and_secret_and_revokes_the_retiring_one(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos"))
    cluster.apply(a_key("app", bucketRefs=refs("photos"), deletionPolicy="Retain"))
    old = cluster.ready(KEY, "app")["status"]["key"]["id"]
    assert "ownerReferences" not in cluster.found("Secret", "app")["metadata"]
    cluster.annotate(KEY, "app", rotate_requested_at="now")
    current = another_key(cluster, KEY, "app", old)["status"]["key"]["id"]

    cluster.delete(KEY, "app", propagation="Foreground")

    cluster.gone(KEY, "app")
    assert live_ids(emulator) == {current}
    with s3_with_only(cluster.secret("app")) as s3:
        assert refusal(s3.put_object, Bucket="photos", Key="a", Body=b"b") is None


def test_what_cannot_be_kept_is_revoked(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    """Retain without its Secret, or where the namespace is not trusted with it."""
    operator = run_operator(trusted_namespaces=[namespace])
    cluster.apply(a_bucket("photos"))
    for name in ("gone", "untrusted"):
        cluster.apply(a_key(name, bucketRefs=refs("photos"), deletionPolicy="Retain"))
        cluster.ready(KEY, name)
    operator.stop()
    cluster.delete("Secret", "gone")
    cluster.delete(KEY, "gone")
    operator = run_operator(trusted_namespaces=[namespace])
    cluster.gone(KEY, "gone")
    operator.stop()

    run_operator()
    cluster.delete(KEY, "untrusted")

    cluster.gone(KEY, "untrusted")
    assert live_ids(emulator) == set()
    assert cluster.get("Secret", "untrusted") is None


@pytest.mark.parametrize(
    "propagation",
    [
        "Background",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("Foreground", "Orphan")),
    ],
)
def test_a_key_whose_finalizer_was_stripped_is_revoked_and_its_secret_goes(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, propagation: str
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.apply(a_key("rotated", bucketRefs=refs("photos")))
    old = cluster.ready(KEY, "rotated")["status"]["key"]["id"]
    cluster.ready(KEY, "app")
    cluster.annotate(KEY, "rotated", rotate_requested_at="now")
    another_key(cluster, KEY, "rotated", old)
    # So that the finalizer is off before the operator has done its work.
    cluster.annotate(KEY, "app", paused="true")
    cluster.annotate(KEY, "rotated", paused="true")
    unpaused = {"annotations": {"storage.amove.io/paused": None}}
    for name in ("app", "rotated"):
        cluster.until(KEY, name, "Synced", "Paused", status="False")
        cluster.delete(KEY, name, propagation)
        cluster.patch(KEY, name, {"metadata": {"finalizers": None, **unpaused}})

    eventually(lambda: live_ids(emulator) == set(), what="the keys' end")
    for name in ("app", "rotated"):
        cluster.gone("Secret", name)


def test_a_paused_key_is_neither_rotated_nor_deleted_until_the_pause_ends(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    cluster.annotate(KEY, "app", paused="true", rotate_requested_at="now")
    cluster.until(KEY, "app", "Synced", "Paused", status="False")
    cluster.delete("Secret", "app")
    cluster.delete(KEY, "app")
    cluster.apply(a_key("beside", bucketRefs=refs("photos")))
    cluster.ready(KEY, "beside")
    assert cluster.found(KEY, "app")["metadata"]["finalizers"]
    assert len(live_ids(emulator)) == 2

    cluster.annotate(KEY, "app", paused=None)

    cluster.gone(KEY, "app")
    assert len(live_ids(emulator)) == 1
