"""docs/disaster-recovery.md: objects that a backup brings back, in this cluster and in another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from amove_emulator import Emulator
from amove_operator.commands.orphans import run_orphans
from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.settings import load_settings
from tests.cluster.bucket_words import kubectl_line, stalled
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import STRIP, live_of, make_crowd
from tests.cluster.typing_pages import blocks_of, type_lines

NOTHING_CHANGED = ("create_bucket", "update_bucket", "delete_bucket")


def backed_up(cluster: Cluster) -> list[tuple[str, str, Manifest]]:
    """Kind, name and object of all of ours in the namespace, Secrets included."""
    kept = [(BUCKET, "photos"), (KEY, "app"), ("Secret", "app")]
    return [(kind, name, cluster.found(kind, name)) for kind, name in kept]


def lose(cluster: Cluster, plane_admin: Callable[..., object]) -> None:
    """All of them, with nobody there who would revoke a key: as when a cluster is lost."""
    for kind, name in ((KEY, "app"), (BUCKET, "photos")):
        cluster.delete(kind, name)
        plane_admin("patch", kind, name, f"--namespace={cluster.namespace}", *STRIP)
        cluster.gone(kind, name)
    cluster.delete("Secret", "app")
    cluster.gone("Secret", "app")


def restore(cluster: Cluster, backup: list[tuple[str, str, Manifest]]) -> None:
    """As Velero does: new objects of the old metadata, spec and data; and status as well."""
    for kind, name, found in backup:
        kept = ("name", "labels", "annotations", "finalizers")
        metadata = {field: found["metadata"][field] for field in kept if field in found["metadata"]}
        rest = {field: part for field, part in found.items() if field != "status"}
        cluster.apply({**rest, "metadata": metadata})
        if kind != "Secret":
            cluster.patch(kind, name, {"status": found["status"]}, "status")


def test_objects_of_a_backup_get_their_buckets_by_an_admin_and_keys_anew(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    operator_variables: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    make_crowd(emulator)
    first = run_operator(watch_namespaces=None)
    cluster.apply(
        a_bucket("photos", versioningEnabled=True), a_key("app", bucketRefs=refs("photos"))
    )
    former_id = cluster.ready(KEY, "app")["status"]["key"]["id"]
    former = cluster.secret("app")
    backup = backed_up(cluster)
    first.stop()
    lose(cluster, cluster.plane.kubectl)
    changes = emulator.control.count(*NOTHING_CHANGED)
    restore(cluster, backup)

    run_operator(watch_namespaces=None)
    stalled(cluster, "photos", "BucketExists")
    cluster.until(KEY, "app", "Ready", status="False")
    assert emulator.control.count("create_storage_key") == 1
    assert cluster.secret("app") == former, "pods go on with what the backup had"
    with s3_with_only(former) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") is None

    secrets, orphans = blocks_of("disaster-recovery.md")
    type_lines(cluster.plane, secrets, tmp_path, {"<namespace>": cluster.namespace})
    assert orphans.split(" -- ")[1].split() == ["amove-operator", "orphans", "--revoke"]
    variables = operator_variables(watch_namespaces=None)
    monkeypatch.setenv("KUBECONFIG", variables["KUBECONFIG"])
    assert run_orphans(load_settings(variables), revoke=True, yes=True) == 0
    assert former_id not in {each["id"] for each in emulator.control.live_keys()}

    cluster.plane.kubectl(*kubectl_line(stalled(cluster, "photos", "BucketExists")))
    assert cluster.ready(BUCKET, "photos")["status"]["provenance"] == "Adopted"
    assert emulator.control.count(*NOTHING_CHANGED) == changes
    key = cluster.ready(KEY, "app")
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    with s3_with_only(cluster.secret("app")) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") is None


def test_another_clusters_keys_keep_no_name_here_and_work_on_until_they_are_revoked_there(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    marker = marker_of("another cluster", "the object there")
    emulator.control.add_bucket("photos", versioningEnabled=True)
    there = emulator.control.add_key(
        key_name("app", marker, names_digest(["photos"]), 1), buckets=["photos"]
    )
    run_operator(trusted_namespaces=[namespace])

    cluster.apply(
        a_bucket("photos", adoptionPolicy="IfExists"), a_key("app", bucketRefs=refs("photos"))
    )

    assert cluster.ready(BUCKET, "photos")["status"]["provenance"] == "Adopted"
    key = cluster.ready(KEY, "app")
    live = {each["id"] for each in emulator.control.live_keys()}
    assert live == {there["id"], key["status"]["key"]["id"]}
    assert emulator.control.count(*NOTHING_CHANGED, "delete_storage_key") == 0
