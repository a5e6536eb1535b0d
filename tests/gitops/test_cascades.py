"""Deletions as GitOps tools ask for them: foreground (Argo CD's default), orphan, by a parent.

The garbage collector is Kubernetes' own.
"""

from __future__ import annotations

from typing import Any

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, eventually, refs, refusal
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_ids, mints
from tests.gitops.client import s3_client


@pytest.mark.parametrize("propagation", ["Foreground", "Orphan"])
def test_all_at_once_what_is_to_go_goes_and_what_is_retained_stays_and_works(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, propagation: str
) -> None:
    run_operator(trusted_namespaces=[cluster.namespace])
    cluster.apply(
        a_bucket("scratch", deletionPolicy="Delete"),
        a_key("worker", bucketRefs=refs("scratch")),
        a_bucket("photos"),
        a_key("app", bucketRefs=refs("photos")),
        a_key("kept", bucketRefs=refs("photos"), deletionPolicy="Retain"),
    )
    kept = cluster.ready(KEY, "kept")["status"]["key"]["id"]
    for name in ("worker", "app"):
        cluster.ready(KEY, name)

    for kind, name in (
        (BUCKET, "scratch"),
        (BUCKET, "photos"),
        (KEY, "worker"),
        (KEY, "app"),
        (KEY, "kept"),
    ):
        cluster.delete(kind, name, propagation)

    _nothing_is_left(cluster)
    for name in ("worker", "app"):
        cluster.gone("Secret", name)
    assert live_ids(emulator) == {kept}
    assert mints(emulator) == 3
    assert set(emulator.control.buckets()) == {"photos"}
    assert refusal(_put(cluster, "kept"), Bucket="photos", Key="a", Body=b"b") is None


def test_a_parent_deleted_in_the_foreground_waits_until_every_key_is_revoked(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    parent = _family(cluster)
    refuse = emulator.control.fault(
        "delete_storage_key", status=500, times=None, contains=_key_id(cluster)
    )

    cluster.delete("ConfigMap", "parent", "Foreground")

    emulator.control.wait_for_calls("delete_storage_key", 2)
    # The credential still works at the service: so neither its object nor the parent is gone.
    assert cluster.found(KEY, "app")["metadata"]["deletionTimestamp"]
    assert cluster.found("ConfigMap", "parent")["metadata"]["uid"] == parent["metadata"]["uid"]
    emulator.control.clear_faults(refuse)
    cluster.gone("ConfigMap", "parent")
    _nothing_is_left(cluster)
    cluster.gone("Secret", "app")
    assert live_ids(emulator) == set()
    assert set(emulator.control.buckets()) == {"photos"}


def test_a_parent_deleted_as_an_orphan_leaves_buckets_keys_and_secrets_as_they_are(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    _family(cluster)
    secret = cluster.found("Secret", "app")
    calls = emulator.control.last_seq()

    cluster.delete("ConfigMap", "parent", "Orphan")

    cluster.gone("ConfigMap", "parent")
    for kind, name in ((BUCKET, "photos"), (KEY, "app")):
        assert "ownerReferences" not in cluster.found(kind, name)["metadata"]
    # A change afterwards is served, so nothing was pending when the rest was looked at.
    cluster.apply(a_bucket("later"))
    cluster.ready(BUCKET, "later")
    operator.wait_idle()
    changed = {each["call"] for each in emulator.control.journal(after=calls)}
    assert changed.isdisjoint({"delete_storage_key", "create_storage_key", "delete_bucket"})
    assert cluster.found("Secret", "app") == secret
    assert refusal(_put(cluster, "app"), Bucket="photos", Key="a", Body=b"b") is None


def test_a_key_in_use_outlives_no_foreground_deletion_of_its_bucket(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The bucket is retained, so its object goes; the key is its own object, and goes on."""
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")

    cluster.delete(BUCKET, "photos", "Foreground")

    cluster.gone(BUCKET, "photos")
    assert refusal(_put(cluster, "app"), Bucket="photos", Key="a", Body=b"b") is None
    assert len(live_ids(emulator)) == 1


def _family(cluster: Cluster) -> Manifest:
    """A ConfigMap that owns a bucket and a key, and blocks on both; it as stored."""
    (parent,) = cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "parent"}}
    )
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "parent",
        "uid": parent["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    for child in (a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))):
        child["metadata"]["ownerReferences"] = [owner]
        cluster.apply(child)
    cluster.ready(BUCKET, "photos")
    cluster.ready(KEY, "app")
    return parent


def _key_id(cluster: Cluster) -> str:
    return str(cluster.found(KEY, "app")["status"]["key"]["id"])


def _put(cluster: Cluster, secret: str) -> Any:
    return s3_client(cluster.secret(secret)).put_object


def _nothing_is_left(cluster: Cluster) -> None:
    eventually(lambda: not cluster.every(KEY) and not cluster.every(BUCKET), what="their end")
