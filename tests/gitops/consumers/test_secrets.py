"""What others write on our Secret stays, and what others write on our objects stays there."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import KEY_ID, MANAGED, another_key
from tests.cluster.harness_operator import Operator

pytestmark = [pytest.mark.gitops, pytest.mark.usefixtures("operator")]

TRACKING = {
    "labels": {
        "app.kubernetes.io/instance": "shop",
        "argocd.argoproj.io/instance": "shop",
        "kustomize.toolkit.fluxcd.io/name": "shop",
        "helm.toolkit.fluxcd.io/name": "shop",
        "team": "shop",
    },
    "annotations": {
        "argocd.argoproj.io/tracking-id": "shop:storage.amove.io/AmoveStorageKey:shop/app",
        "argocd.argoproj.io/sync-wave": "-1",
        "argocd.argoproj.io/sync-options": "Prune=false",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "meta.helm.sh/release-name": "shop",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    },
}
OTHERS = {
    "labels": {
        "replicator.example.org/source": "yes",
        "velero.io/exclude-from-backup": "true",
    },
    "annotations": {
        "reflector.v1.k8s.emberstack.com/reflection-allowed": "true",
        "reflector.v1.k8s.emberstack.com/reflection-auto-enabled": "true",
        "replicator.v1.mittwald.de/replicate-to": "shop-.*",
        "sealedsecrets.bitnami.com/managed": "true",
        "reloader.stakater.com/match": "true",
        "kubed.appscode.com/sync": "",
    },
}
WANTED = {"reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces": "shop-frontend"}


def secret(team: Cluster, name: str) -> dict[str, Any]:
    """The Secret's metadata."""
    metadata: dict[str, Any] = team.found("Secret", name)["metadata"]
    return metadata


def carries(metadata: dict[str, Any], written: dict[str, dict[str, str]]) -> bool:
    """Whether it has all these labels and annotations."""
    return all(written[part].items() <= metadata.get(part, {}).items() for part in written)


@pytest.fixture
def issued(team: Cluster, operator: Operator) -> dict[str, Any]:
    """A key that is issued, of a name of the test's own, with an annotation of the spec's."""
    del operator
    name = f"key-{secrets.token_hex(4)}"
    team.apply(a_bucket(name), a_key(name, bucketRefs=refs(name), secret={"annotations": WANTED}))
    return team.ready(KEY, name)


def test_tracking_labels_and_annotations_of_the_object_are_not_put_on_the_secret(
    team: Cluster,
) -> None:
    bucket = a_bucket("shop")
    key = a_key("shop", bucketRefs=refs("shop"), secret={"labels": {"tier": "web"}})
    for one in (bucket, key):
        one["metadata"] |= TRACKING
    team.apply(bucket, key)
    team.ready(KEY, "shop")
    written = secret(team, "shop")
    assert set(written["labels"]) == {MANAGED, "app.kubernetes.io/managed-by", "tier"}
    assert {name for name in written["annotations"] if "storage.amove.io/" not in name} == set()
    # Argo CD prunes what it tracks and Git does not have; this has an owner, which it does not.
    assert [owner["kind"] for owner in written["ownerReferences"]] == [KEY]
    for kind in (BUCKET, KEY):
        assert carries(team.found(kind, "shop")["metadata"], TRACKING)


def test_others_labels_and_annotations_survive_a_rotation(
    team: Cluster, issued: dict[str, Any]
) -> None:
    name = issued["metadata"]["name"]
    team.patch("Secret", name, {"metadata": OTHERS})
    team.annotate(KEY, name, rotate_requested_at="now")
    another_key(team, KEY, name, issued["status"]["key"]["id"])
    assert carries(secret(team, name), {**OTHERS, "annotations": OTHERS["annotations"] | WANTED})


@pytest.mark.parametrize(
    "spoilt",
    [
        {"labels": {MANAGED: None}},
        {"labels": {MANAGED: "no"}},
        {"annotations": dict.fromkeys(WANTED)},
        {"ownerReferences": None},
    ],
    ids=["label gone", "label edited", "annotation gone", "owner gone"],
)
def test_others_labels_and_annotations_survive_a_repair_of_ours(
    team: Cluster, issued: dict[str, Any], spoilt: dict[str, Any]
) -> None:
    name = issued["metadata"]["name"]
    merged: dict[str, Any] = {part: OTHERS[part] | (spoilt.get(part) or {}) for part in OTHERS}
    team.patch("Secret", name, {"metadata": spoilt | merged})
    ours = {"labels": {MANAGED: "true"}, "annotations": WANTED}
    eventually(
        lambda: carries(found := secret(team, name), ours) and "ownerReferences" in found,
        what="the repair",
    )
    assert carries(secret(team, name), OTHERS)
    assert secret(team, name)["annotations"][KEY_ID] == issued["status"]["key"]["id"]


def test_others_entries_of_the_secret_survive_a_replacement_of_ours(
    team: Cluster, issued: dict[str, Any]
) -> None:
    name = issued["metadata"]["name"]
    theirs = {"ca.crt": "Y2VydA=="}
    team.patch("Secret", name, {"metadata": OTHERS, "data": theirs})
    team.patch("Secret", name, {"data": {"AWS_SECRET_ACCESS_KEY": "c3BvaWx0"}})
    another_key(team, KEY, name, issued["status"]["key"]["id"])
    found = team.found("Secret", name)
    assert carries(found["metadata"], OTHERS)
    assert theirs.items() <= found["data"].items()
    assert found["data"]["AWS_SECRET_ACCESS_KEY"] != "c3BvaWx0"


def test_what_the_spec_no_longer_wants_goes_and_the_others_stay(
    team: Cluster, issued: dict[str, Any]
) -> None:
    name = issued["metadata"]["name"]
    team.patch("Secret", name, {"metadata": OTHERS})
    team.patch(KEY, name, {"spec": {"secret": {"annotations": None}}})
    eventually(lambda: not WANTED.keys() & secret(team, name)["annotations"].keys())
    assert carries(secret(team, name), OTHERS)


def test_the_binding_names_no_secret_of_another(team: Cluster, issued: dict[str, Any]) -> None:
    """Else an implementation of Service Binding would mount it into the pods."""
    name, other = issued["metadata"]["name"], f"theirs-{secrets.token_hex(4)}"
    theirs = {"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "x"}}
    team.apply({**theirs, "metadata": {"name": other}})
    team.apply(a_key(other, bucketRefs=refs(name)))
    assert "binding" not in team.until(KEY, other, "Stalled", "SecretConflict")["status"]

    # And where a stranger's takes the place of ours.
    assert issued["status"]["binding"] == {"name": name}
    team.annotate(KEY, name, paused="true")
    team.until(KEY, name, "Synced", "Paused", status="False")
    team.delete("Secret", name)
    team.apply({**theirs, "metadata": {"name": name}})
    team.annotate(KEY, name, paused=None)
    assert "binding" not in team.until(KEY, name, "Stalled", "SecretConflict")["status"]
