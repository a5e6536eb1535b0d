"""What a user can write proves nothing, and what needs trust says so (docs/policies.md)."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import CHANGING, calls, kubectl_line, stalled
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_ids

EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


@pytest.fixture
def tenant(cluster: Cluster, namespace: str) -> Path:
    """Of a user who may do everything in the namespace, sub-resources included."""
    role = {"rules": [EVERYTHING], **_rbac("Role", "everything", namespace)}
    binding = {
        **_rbac("RoleBinding", "everything", namespace),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "everything"},
        "subjects": [{"kind": "User", "name": "tenant", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    items = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    cluster.plane.kubectl("apply", "-f", "-", input=json.dumps(items))
    return cluster.plane.user_kubeconfig("tenant")


def _rbac(kind: str, name: str, namespace: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
    }


def test_a_user_with_all_rights_in_a_namespace_cannot_write_status(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str, tenant: Path
) -> None:
    run_operator()
    emulator.control.add_bucket("theirs")
    stolen = a_bucket("theirs", deletionPolicy="Delete")
    manifests = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [stolen, a_key("app", bucketRefs=refs("theirs"))],
    }
    inside = f"--namespace={namespace}"
    cluster.plane.kubectl(
        "apply", inside, "-f", "-", input=json.dumps(manifests), kubeconfig=tenant
    )
    stalled(cluster, "theirs", "BucketExists")
    uid = cluster.found(BUCKET, "theirs")["metadata"]["uid"]
    forged = {
        "ownerUID": uid,
        "provenance": "Adopted",
        "bucketName": "theirs",
        "cloudAccountId": emulator.cloud_account_id,
    }

    for kind, name, status in (
        ("amovebucket", "theirs", forged),
        ("amovestoragekey", "app", {"ownerUID": uid}),
    ):
        refused = cluster.plane.kubectl(
            "patch",
            kind,
            name,
            inside,
            "--subresource=status",
            "--type=merge",
            f"--patch={json.dumps({'status': status})}",
            kubeconfig=tenant,
            check=False,
        )
        assert refused.returncode != 0
        assert "proves whose a bucket or key is" in refused.stderr
        assert "holds the right 'attest'" in refused.stderr

    # Nor does it help to bring a status, a finalizer or annotations along with the object.
    cluster.plane.kubectl("delete", "amovebucket/theirs", inside, kubeconfig=tenant)
    hints = {"storage.amove.io/owner-uid": uid, "storage.amove.io/provenance": "Adopted"}
    again = {
        **stolen,
        "metadata": {
            "name": "theirs",
            "annotations": hints,
            "finalizers": ["storage.amove.io/finalizer"],
        },
        "status": forged,
    }
    cluster.plane.kubectl("create", inside, "-f", "-", input=json.dumps(again), kubeconfig=tenant)
    stalled(cluster, "theirs", "BucketExists")
    cluster.delete(BUCKET, "theirs")
    cluster.gone(BUCKET, "theirs")
    assert "theirs" in emulator.control.buckets()
    assert emulator.control.count(*CHANGING) == 0


def test_when_trust_is_taken_away_nothing_more_is_done_for_the_bucket(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    emulator.control.add_bucket("archive")
    first = run_operator(trusted_namespaces=["test-*"])
    cluster.apply(a_bucket("archive", adoptionPolicy="IfExists", versioningEnabled=True))
    cluster.until(BUCKET, "archive", "Synced", "Settled")
    first.stop()
    made = calls(emulator, "archive", *CHANGING)
    emulator.control.set_flags("archive", versioningEnabled=False)

    run_operator(resync_interval="1s")
    message = stalled(cluster, "archive", "NotPermitted")
    assert f"add {namespace} to AMOVE_TRUSTED_NAMESPACES" in message
    assert cluster.found(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    assert calls(emulator, "archive", *CHANGING) == made

    # What is ours already needs no trust once the policy is left out.
    cluster.apply(a_bucket("archive", versioningEnabled=True))
    cluster.until(BUCKET, "archive", "Synced", "Settled")
    assert calls(emulator, "archive", "update_bucket") == made + 1


def test_what_was_forged_is_taken_back_as_the_page_says_and_its_key_goes_with_its_object(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
    (line,) = re.findall(r"`kubectl (patch amovebucket <name>[^`]*provenance[^`]*)`", page)
    emulator.control.add_bucket("theirs")
    cluster.apply(a_bucket("theirs"), a_key("app", bucketRefs=refs("theirs")))
    run_operator()
    command = kubectl_line(stalled(cluster, "theirs", "BucketExists"))
    cluster.plane.kubectl(*command)  # as a forger would have written it
    cluster.ready(KEY, "app")

    take_back = line.replace("<name>", "theirs").replace("<namespace>", cluster.namespace)
    cluster.plane.kubectl(*shlex.split(take_back))
    stalled(cluster, "theirs", "BucketExists")
    assert set(emulator.control.buckets()) == {"theirs"}
    assert len(live_ids(emulator)) == 1, "the key that is out stays until its object goes"
    cluster.delete(KEY, "app")
    cluster.gone(KEY, "app")
    assert live_ids(emulator) == set()
