"""The fence, with real RBAC: who writes status, and who takes our finalizer off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.bucket_words import kubectl_line, stalled
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, refs
from tests.cluster.harness_cluster import RELEASE, SYSTEM, Cluster

RBAC = "rbac.authorization.k8s.io"
FINALIZER = "storage.amove.io/finalizer"
NAMES = {BUCKET: "photos", KEY: "app"}
ADMIN = "an admin of the cluster"
KINDS = pytest.mark.parametrize("kind", NAMES)
TENANTS = ("wildcard", "namespace-cluster-admin", "namespace-adopter", "elsewhere")
"""What each may do: everything in the namespace by a Role, or by a RoleBinding to cluster-admin;
what adopters may, by a RoleBinding; everything here, and ``attest`` for another namespace."""


@pytest.fixture
def users(cluster: Cluster, namespace: str) -> Iterator[dict[str, Path]]:
    """Kubeconfigs by who they are; see TENANTS. ``cluster-admin``, ``adopter``: everywhere."""
    plane = cluster.plane
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    attest = {
        "apiGroups": ["storage.amove.io"],
        "resources": ["amovebuckets/status", "amovestoragekeys/status"],
        "resourceNames": ["elsewhere"],
        "verbs": ["attest"],
    }
    clusterwide = [
        rbac("ClusterRole", f"{namespace}-elsewhere", rules=[attest]),
        bound("cluster-admin", f"{namespace}-cluster-admin"),
        bound(f"{RELEASE}-adopter", f"{namespace}-adopter"),
        bound(f"{namespace}-elsewhere", f"{namespace}-elsewhere"),
    ]
    inside = [
        rbac("Role", "everything", rules=[everything]),
        bound("everything", f"{namespace}-wildcard", role="Role", inside=namespace),
        bound("everything", f"{namespace}-elsewhere", role="Role", inside=namespace),
        bound("cluster-admin", f"{namespace}-namespace-cluster-admin", inside=namespace),
        bound(f"{RELEASE}-adopter", f"{namespace}-namespace-adopter", inside=namespace),
    ]
    for each in inside:
        each["metadata"]["namespace"] = namespace
    items = {"apiVersion": "v1", "kind": "List", "items": clusterwide + inside}
    plane.kubectl("apply", "-f", "-", input=json.dumps(items))
    names = (*TENANTS, "cluster-admin", "adopter")
    yield {name: plane.user_kubeconfig(f"{namespace}-{name}") for name in names}
    gone = [f"{each['kind']}/{each['metadata']['name']}" for each in clusterwide]
    plane.kubectl("delete", *gone)


def rbac(kind: str, name: str, **rest: object) -> Manifest:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, **rest}


def bound(name: str, user: str, *, role: str = "ClusterRole", inside: str = "") -> Manifest:
    return rbac(
        "RoleBinding" if inside else "ClusterRoleBinding",
        user,
        roleRef={"apiGroup": RBAC, "kind": role, "name": name},
        subjects=[{"kind": "User", "name": user, "apiGroup": RBAC}],
    )


@pytest.fixture
def held(cluster: Cluster) -> None:
    """One object of each kind, with our finalizer on: as the operator left them."""
    for manifest in (a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))):
        manifest["metadata"]["finalizers"] = [FINALIZER, "example.com/theirs"]
        cluster.apply(manifest)


class Hand:
    """One user with kubectl; each move answers what the API server complained about."""

    def __init__(self, plane: ControlPlane, namespace: str, kubeconfig: Path) -> None:
        self._plane, self._namespace, self._kubeconfig = plane, namespace, kubeconfig

    def __call__(self, *args: str, body: Manifest | None = None) -> str:
        given = json.dumps(body) if body is not None else None
        done = self._plane.kubectl(
            *args,
            f"--namespace={self._namespace}",
            input=given,
            kubeconfig=self._kubeconfig,
            check=False,
        )
        return done.stderr if done.returncode else ""

    def writes_status(self, kind: str) -> str:
        patch = json.dumps({"status": {"ownerUID": "forged"}})
        how = ("--subresource=status", "--type=merge", f"--patch={patch}")
        return self("patch", kind, NAMES[kind], *how)

    def strips(self, kind: str) -> str:
        patch = json.dumps({"metadata": {"finalizers": ["example.com/theirs"]}})
        return self("patch", kind, NAMES[kind], "--type=merge", f"--patch={patch}")


@pytest.fixture
def hands(cluster: Cluster, namespace: str, users: dict[str, Path]) -> dict[str, Hand]:
    return {name: Hand(cluster.plane, namespace, user) for name, user in users.items()}


@KINDS
@pytest.mark.parametrize("who", TENANTS)
def test_who_has_rights_in_the_namespace_only_writes_no_status_and_strips_no_finalizer(
    cluster: Cluster, held: None, hands: dict[str, Hand], kind: str, who: str
) -> None:
    before = cluster.found(kind, NAMES[kind])
    assert "proves whose a bucket or key is" in hands[who].writes_status(kind) or (
        who == "namespace-adopter" and kind == KEY
    )
    assert hands[who].strips(kind) != ""
    assert cluster.found(kind, NAMES[kind]) == before

    cluster.delete(kind, NAMES[kind])
    if who != "namespace-adopter":  # RBAC alone refuses that one
        assert "is taken off by the operator alone" in hands[who].strips(kind)
    assert FINALIZER in cluster.found(kind, NAMES[kind])["metadata"]["finalizers"]


@KINDS
def test_an_admin_of_the_cluster_takes_the_finalizer_off_only_once_deletion_began(
    cluster: Cluster, held: None, hands: dict[str, Hand], kind: str
) -> None:
    admin = hands["cluster-admin"]
    assert "once the object is being deleted" in admin.strips(kind)
    assert admin.writes_status(kind) == ""
    cluster.delete(kind, NAMES[kind])
    assert admin.strips(kind) == ""
    left = cluster.found(kind, NAMES[kind])["metadata"]["finalizers"]
    assert left == ["example.com/theirs"]


@KINDS
def test_gitops_with_an_admins_rights_drops_no_finalizer(
    cluster: Cluster, hands: dict[str, Hand], kind: str
) -> None:
    """A tenant writes what such a controller applies: first with our finalizer, then without."""
    admin = hands["cluster-admin"]
    manifest = a_bucket("photos") if kind == BUCKET else a_key("app", bucketRefs=refs("photos"))
    with_it = {**manifest, "metadata": {"name": NAMES[kind], "finalizers": [FINALIZER]}}
    without = {**manifest, "metadata": {"name": NAMES[kind]}}
    server_side = ("apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "-f-")
    assert admin(*server_side, body=with_it) == ""
    for move in (server_side, ("replace", "-f-")):
        complaint = admin(*move, body=without)
        assert "keep metadata.finalizers as they are" in complaint, move
    assert cluster.found(kind, NAMES[kind])["metadata"]["finalizers"] == [FINALIZER]
    # Nor is anybody in the way of what keeps them.
    assert admin("replace", "-f-", body=with_it) == ""
    assert admin("annotate", kind, NAMES[kind], "by=admin") == ""
    assert hands["wildcard"]("label", kind, NAMES[kind], "by=tenant") == ""


@KINDS
def test_a_status_or_its_writers_brought_along_with_the_object_come_to_nothing(
    cluster: Cluster, hands: dict[str, Hand], kind: str
) -> None:
    manifest = a_bucket("photos") if kind == BUCKET else a_key("app", bucketRefs=refs("photos"))
    assert hands["wildcard"]("create", "-f-", body={**manifest, "status": {"ownerUID": "x"}}) == ""
    there = cluster.found(kind, NAMES[kind])
    assert there["status"] == {"observedGeneration": -1}

    forged = {
        "manager": "amove-operator/another/operator",
        "operation": "Update",
        "subresource": "status",
        "apiVersion": there["apiVersion"],
        "time": "2099-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:deletionPolicy": {}}},
    }
    forger = {**there, "metadata": {**there["metadata"], "managedFields": [forged]}}
    assert "managedFields" in hands["wildcard"]("replace", "-f-", body=forger)
    newborn = {**manifest, "metadata": {"name": "other", "managedFields": [forged]}}
    hands["wildcard"]("create", "-f-", body=newborn)
    born = cluster.get(kind, "other") or {"metadata": {}}
    entries = born["metadata"].get("managedFields", [])
    assert not [one for one in entries if one.get("subresource") == "status"]


@pytest.mark.parametrize("move", ["apply", "create", "replace"])
@pytest.mark.parametrize("fields", ["f:status", "f:metadata"])
def test_gitops_with_an_admins_rights_makes_no_operator_believe_in_another(
    cluster: Cluster, hands: dict[str, Hand], move: str, fields: str
) -> None:
    """A tenant writes what such a controller applies: who wrote the status, in her own words."""
    admin, manifest = hands["cluster-admin"], a_bucket("photos")
    if move == "replace":
        assert admin("create", "-f-", body=manifest) == ""
    for time, allowed in (("2099-01-01T00:00:00Z", False), ("2020-01-01T00:00:00Z", True)):
        forged = {
            "manager": "amove-operator/another/operator",
            "operation": "Update",
            "subresource": "status",
            "apiVersion": manifest["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": {fields: {"f:x": {}}},
        }
        body = {**manifest, "metadata": {**manifest["metadata"], "managedFields": [forged]}}
        complaint = admin(move, "-f-", body=body)
        assert ("metadata.managedFields out" in complaint) != allowed, complaint
        assert (complaint == "") == allowed, complaint


def test_an_object_that_many_hands_have_edited_can_still_be_edited(
    cluster: Cluster, hands: dict[str, Hand], held: None
) -> None:
    """The API server then puts the oldest entries of managedFields together, the status's first."""
    assert hands["cluster-admin"].writes_status(BUCKET) == ""
    for number in range(14):
        change = (f"example.com/{number}=x", f"--field-manager=hand-{number}")
        assert hands["wildcard"]("annotate", BUCKET, "photos", *change) == "", number
    entries = cluster.found(BUCKET, "photos")["metadata"]["managedFields"]
    assert "ancient-changes" in [one["manager"] for one in entries]


def test_an_object_without_our_finalizer_is_its_owners(
    cluster: Cluster, hands: dict[str, Hand]
) -> None:
    manifest = a_bucket("photos")
    manifest["metadata"]["finalizers"] = ["example.com/theirs"]
    assert hands["wildcard"]("create", "-f-", body=manifest) == ""
    patch = json.dumps({"metadata": {"finalizers": None}})
    assert hands["wildcard"]("patch", BUCKET, "photos", "--type=merge", f"-p={patch}") == ""
    assert hands["wildcard"]("delete", BUCKET, "photos") == ""


def test_the_line_of_bucketexists_works_for_adopters_and_admins_of_the_cluster_only(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    users: dict[str, Path],
    namespace: str,
) -> None:
    run_operator()
    for who in ("adopter", "cluster-admin"):
        emulator.control.add_bucket(who)
        cluster.apply(a_bucket(who))
        command = kubectl_line(stalled(cluster, who, "BucketExists"))
        for tenant in TENANTS:
            refused = cluster.plane.kubectl(*command, kubeconfig=users[tenant], check=False)
            assert "proves whose a bucket or key is" in refused.stderr, tenant
        cluster.plane.kubectl(*command, kubeconfig=users[who])
        assert cluster.ready(BUCKET, who)["status"]["provenance"] == "Adopted"


@KINDS
def test_the_operator_passes_its_own_fence(
    plane: ControlPlane, cluster: Cluster, held: None, namespace: str, kind: str
) -> None:
    operator = Hand(plane, namespace, plane.service_account_kubeconfig(SYSTEM, RELEASE))
    assert operator.writes_status(kind) == ""
    cluster.delete(kind, NAMES[kind])
    assert operator.strips(kind) == ""
