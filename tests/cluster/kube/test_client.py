"""What the operator leans on when it writes its own objects (docs/kubernetes.md), proved."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_operator.errors import Conflict, KubeRefused, KubeUnavailable, NotLeading
from amove_operator.kube import Kube
from amove_operator.kube.failures import NotServed
from amove_operator.kube.listing import each_item
from amove_operator.kube.transport import JSON_PATCH, Request
from amove_operator.kube.views import ObjectReference
from amove_operator.models import FINALIZER, ObjectMeta
from amove_operator.models.refs import Kind, Ref
from controlplane.launcher import ControlPlane

OTHER = "example.com/other"


def stored(plane: ControlPlane, ref: Ref) -> dict[str, Any]:
    """The object as kubectl reads it."""
    got = plane.kubectl("get", ref.kind.plural, ref.name, "-n", ref.namespace, "-o", "json")
    answer: dict[str, Any] = json.loads(got.stdout)
    return answer


def touch(plane: ControlPlane, ref: Ref) -> None:
    """Change the object behind the operator's back."""
    note = f"example.com/touched={secrets.token_hex(4)}"
    plane.kubectl("annotate", ref.kind.plural, ref.name, "-n", ref.namespace, "--overwrite", note)


@pytest.fixture
def ref(namespace: str, bucket: str) -> Ref:
    return Ref(Kind.BUCKET, namespace, bucket)


async def meta_of(kube: Kube, ref: Ref) -> ObjectMeta:
    found = await kube.get_object(ref)
    assert found is not None
    return ObjectMeta.model_validate(found["metadata"])


def release(plane: ControlPlane, ref: Ref) -> None:
    """Take every finalizer off that is left."""
    plane.kubectl(
        "patch", ref.kind.plural, ref.name, "-n", ref.namespace, "--type=merge",
        '--patch={"metadata":{"finalizers":null}}',
    )  # fmt: skip


async def test_our_finalizer_joins_the_others_and_the_generation_stays(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    before = await meta_of(kube, ref)
    after = await kube.add_finalizer(ref, before)
    assert after["metadata"]["finalizers"] == [OTHER, FINALIZER]
    assert stored(plane, ref)["metadata"]["generation"] == before.generation


async def test_a_finalizer_goes_on_an_object_that_has_none(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    release(plane, ref)
    assert "finalizers" not in stored(plane, ref)["metadata"]
    after = await kube.add_finalizer(ref, await meta_of(kube, ref))
    assert after["metadata"]["finalizers"] == [FINALIZER]


async def test_a_finalizer_is_not_added_to_an_object_that_changed(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    before = await meta_of(kube, ref)
    touch(plane, ref)
    with pytest.raises(Conflict):
        await kube.add_finalizer(ref, before)
    assert stored(plane, ref)["metadata"]["finalizers"] == [OTHER]


async def test_a_finalizer_that_the_rules_refuse_is_no_conflict(kube: Kube, ref: Ref) -> None:
    path = f"/apis/storage.amove.io/v1alpha1/namespaces/{ref.namespace}/amovebuckets/{ref.name}"
    added = [{"op": "add", "path": "/metadata/finalizers/-", "value": "not a finalizer"}]
    with pytest.raises(KubeRefused) as refused:
        await kube.transport.call(Request("PATCH", path, body=added, content=JSON_PATCH))
    assert refused.value.status == 422
    assert "not a finalizer" in str(refused.value)


async def test_a_finalizer_for_an_object_that_is_gone_is_a_conflict(kube: Kube, ref: Ref) -> None:
    meta = await meta_of(kube, ref)
    with pytest.raises(Conflict):
        await kube.add_finalizer(ref._replace(name="nowhere"), meta)


async def test_only_our_finalizer_is_removed(kube: Kube, plane: ControlPlane, ref: Ref) -> None:
    await kube.add_finalizer(ref, await meta_of(kube, ref))
    plane.kubectl("delete", "amovebucket", ref.name, "-n", ref.namespace, "--wait=false")
    await kube.remove_finalizer(ref, await meta_of(kube, ref))
    assert stored(plane, ref)["metadata"]["finalizers"] == [OTHER]


async def test_of_a_finalizer_that_somebody_wrote_often_no_copy_is_left(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    """One copy would keep a deleted object there, with a status that proves what was its own."""
    many = json.dumps({"metadata": {"finalizers": [FINALIZER, OTHER, *[FINALIZER] * 2500]}})
    where = ("amovebucket", ref.name, "-n", ref.namespace)
    plane.kubectl("patch", *where, "--type=merge", f"--patch={many}")
    plane.kubectl("delete", *where, "--wait=false")
    await kube.remove_finalizer(ref, await meta_of(kube, ref))
    assert stored(plane, ref)["metadata"]["finalizers"] == [OTHER]


async def test_a_finalizer_is_not_removed_from_an_object_that_changed(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    await kube.add_finalizer(ref, await meta_of(kube, ref))
    before = await meta_of(kube, ref)
    touch(plane, ref)
    with pytest.raises(Conflict):
        await kube.remove_finalizer(ref, before)
    assert FINALIZER in stored(plane, ref)["metadata"]["finalizers"]


async def test_removing_the_last_finalizer_lets_a_deleted_object_go(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    await kube.add_finalizer(ref, await meta_of(kube, ref))
    plane.kubectl("delete", "amovebucket", ref.name, "-n", ref.namespace, "--wait=false")
    await kube.remove_finalizer(ref, await meta_of(kube, ref))
    last = await meta_of(kube, ref)
    release(plane, ref)
    assert await kube.get_object(ref) is None
    await kube.remove_finalizer(ref, last)  # already gone: fine


async def test_a_status_write_carries_the_difference_and_drops_what_went(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    first = await kube.get_object(ref)
    assert first is not None
    one = {"ownerUID": "u", "createIntent": True, "observed": {"isPublic": False}}
    version = first["metadata"]["resourceVersion"]
    second = await kube.write_status(ref, version, first.get("status", {}), one)
    assert second is not None
    two = {"ownerUID": "u", "observed": {"isPublic": True}}
    await kube.write_status(ref, second["metadata"]["resourceVersion"], second["status"], two)
    after = stored(plane, ref)
    assert after["status"] == two
    assert after["metadata"]["generation"] == first["metadata"]["generation"]


async def test_a_status_that_is_as_it_was_costs_no_request(kube: Kube, ref: Ref) -> None:
    kube.gate = closed_gate
    same = {"provenance": "Created", "conditions": [{"type": "Ready", "status": "True"}]}
    assert await kube.write_status(ref, "1", same, dict(same)) is None


async def test_a_status_is_not_written_over_a_changed_object(
    kube: Kube, plane: ControlPlane, ref: Ref
) -> None:
    version = (await meta_of(kube, ref)).resource_version
    touch(plane, ref)
    with pytest.raises(Conflict):
        await kube.write_status(ref, version, {}, {"provenance": "Created"})
    assert "provenance" not in stored(plane, ref).get("status", {})


async def test_a_status_for_an_object_that_is_gone_is_a_conflict(kube: Kube, ref: Ref) -> None:
    with pytest.raises(Conflict):
        await kube.write_status(ref._replace(name="nowhere"), "1", {}, {"ownerUID": "u"})


def closed_gate() -> None:
    raise NotLeading("the gate is closed")


async def test_a_process_that_does_not_lead_writes_nothing_but_reads(kube: Kube, ref: Ref) -> None:
    meta = await meta_of(kube, ref)
    kube.gate = closed_gate
    secret = {"metadata": {"name": "s", "namespace": ref.namespace}, "data": {}}
    for write in (
        kube.add_finalizer(ref, meta),
        kube.remove_finalizer(ref, meta.model_copy(update={"finalizer_at": 0})),
        kube.write_status(ref, meta.resource_version, {}, {"ownerUID": "u"}),
        kube.create_secret(secret, dry_run=True),
        kube.create_secret(secret),
        kube.patch_secret(ref.namespace, "s", {}, uid="u", resource_version="1"),
        kube.delete_secret(ref.namespace, "s", uid="u"),
    ):
        with pytest.raises(NotLeading):
            await write
    assert await meta_of(kube, ref) == meta
    assert await kube.read_secret(ref.namespace, "s") is None


async def test_a_list_of_many_pages_is_complete(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    names = [f"bucket-{i}" for i in range(7)]
    items = [
        {
            "apiVersion": "storage.amove.io/v1alpha1",
            "kind": "AmoveBucket",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {},
        }
        for name in names
    ]
    plane.kubectl("create", "-f", "-", input=yaml.safe_dump_all(items))
    path = f"/apis/storage.amove.io/v1alpha1/namespaces/{namespace}/amovebuckets"
    seen: list[str] = []
    assert await each_item(
        kube.transport, path, lambda item: seen.append(item["metadata"]["name"]), page=2
    )
    assert seen == names


async def uids(kube: Kube, namespace: str | None = None) -> tuple[set[str], str]:
    found: set[str] = set()

    def take(item: dict[str, Any]) -> None:
        found.add(item["metadata"]["uid"])

    return found, await kube.each_object(Kind.BUCKET, take, namespace)


async def test_a_list_covers_one_namespace_or_all_and_says_how_new_it_is(
    kube: Kube, ref: Ref
) -> None:
    here, version = await uids(kube, ref.namespace)
    assert len(here) == 1
    assert int(version) > 0
    assert (await uids(kube, "default"))[0] == set()
    assert here <= (await uids(kube))[0]


async def test_absent_means_that_the_server_named_the_object(kube: Kube, namespace: str) -> None:
    assert await kube.get_object(Ref(Kind.KEY, namespace, "nowhere")) is None
    assert await kube.read_secret(namespace, "nowhere") is None
    # The type itself is not served: that says nothing about any object.
    path = f"/apis/storage.amove.io/v9/namespaces/{namespace}/amovebuckets/photos"
    with pytest.raises(NotServed):
        await kube.transport.call(Request("GET", path))


async def test_both_crds_are_found_by_discovery(plane: ControlPlane, nobody: Kube) -> None:
    assert await nobody.missing_crds() == []


@pytest.fixture
async def nobody(plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client as a ServiceAccount without any role."""
    monkeypatch.setenv("KUBECONFIG", str(plane.service_account_kubeconfig(namespace, "default")))
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    client = await Kube.connect()
    yield client
    await client.aclose()


async def test_what_is_forbidden_is_refused_with_the_servers_words(nobody: Kube, ref: Ref) -> None:
    for request in (
        nobody.get_object(ref),
        nobody.each_object(Kind.BUCKET, lambda _item: None),
        nobody.read_secret(ref.namespace, "s"),
        nobody.write_status(ref, "1", {}, {"ownerUID": "u"}),
    ):
        with pytest.raises(KubeRefused, match="forbidden") as refused:
            await request
        assert refused.value.status == 403


async def test_the_kubeconfigs_namespace_is_our_own(nobody: Kube, namespace: str) -> None:
    assert nobody.namespace == namespace


async def test_a_rotated_token_file_is_read_again_after_a_401(
    plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plane.service_account_kubeconfig(namespace, "default", tmp_path / "config")
    config = yaml.safe_load(path.read_text())
    user = config["users"][0]["user"]
    token, user["tokenFile"] = user.pop("token"), "token"
    path.write_text(yaml.safe_dump(config))
    (tmp_path / "token").write_text("outdated")
    monkeypatch.setenv("KUBECONFIG", str(path))
    kube = await Kube.connect()
    try:
        with pytest.raises(KubeUnavailable):
            await kube.missing_crds()
        (tmp_path / "token").write_text(token)
        assert await kube.missing_crds() == []
    finally:
        await kube.aclose()


async def test_the_clusters_uid_and_clock_are_known(kube: Kube, plane: ControlPlane) -> None:
    uid = plane.kubectl("get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}").stdout
    assert kube.skew_seconds is None
    assert await kube.cluster_uid() == uid
    assert kube.skew_seconds is not None
    assert abs(kube.skew_seconds) < 30  # the same machine's clock


@pytest.fixture
def terminating(plane: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace whose deletion waits for one object in it."""
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": namespace, "finalizers": [OTHER]},
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(held))
    plane.kubectl("delete", "namespace", namespace, "--wait=false")
    yield namespace
    release = '{"metadata":{"finalizers":null}}'
    plane.kubectl("patch", "configmap", "held", "-n", namespace, "--type=merge", "-p", release)


async def test_a_namespace_that_goes_or_is_gone_is_told_apart(kube: Kube, terminating: str) -> None:
    assert await kube.namespace_terminating(terminating)
    assert await kube.namespace_terminating("never-was")
    assert not await kube.namespace_terminating("default")


async def test_the_own_deployment_is_found_by_the_pods_name(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    kube.namespace = namespace
    assert await kube.own_deployment("amove-7d4b9c5f6-x2x5k") is None
    plane.kubectl("create", "deployment", "amove", "-n", namespace, "--image=none", "--replicas=0")
    found = await kube.own_deployment("amove-7d4b9c5f6-x2x5k")
    assert isinstance(found, ObjectReference)
    assert (found.kind, found.name) == ("Deployment", "amove")
