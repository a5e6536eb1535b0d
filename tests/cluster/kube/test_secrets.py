"""The conflict semantics of every Secret write, on the real API server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from amove_operator.errors import Conflict, KubeRefused
from amove_operator.kube import Kube, SecretView
from amove_operator.kube.failures import NamespaceTerminating
from controlplane.launcher import ControlPlane
from tests.patience import PATIENCE

VALUE = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY0123456789"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def manifest(namespace: str, name: str = "app", **data: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"storage.amove.io/managed": "true"},
            "annotations": {"storage.amove.io/owner-uid": "u-1"},
        },
        "data": {key: coded(value) for key, value in data.items()},
    }


@pytest.fixture
async def secret(kube: Kube, namespace: str) -> SecretView:
    return await kube.create_secret(manifest(namespace, KEY=VALUE, OLD="old"))


async def test_a_created_secret_is_read_back_as_it_was_sent(kube: Kube, secret: SecretView) -> None:
    again = await kube.read_secret(secret.namespace, secret.name)
    assert again == secret
    assert again.data == {"KEY": VALUE.encode(), "OLD": b"old"}
    assert again.annotations["storage.amove.io/owner-uid"] == "u-1"
    assert again.type == "Opaque"
    assert not again.deleting
    assert VALUE not in repr(again)


async def test_a_secret_that_exists_is_not_overwritten_by_a_create(
    kube: Kube, secret: SecretView
) -> None:
    for dry_run in (True, False):
        with pytest.raises(Conflict):
            await kube.create_secret(manifest(secret.namespace, KEY="other"), dry_run=dry_run)
    assert await kube.read_secret(secret.namespace, secret.name) == secret


async def test_dry_runs_write_nothing(kube: Kube, secret: SecretView) -> None:
    await kube.create_secret(manifest(secret.namespace, "second", KEY="v"), dry_run=True)
    assert await kube.read_secret(secret.namespace, "second") is None
    patched = await kube.patch_secret(
        secret.namespace,
        secret.name,
        {"data": {"KEY": coded("new")}},
        uid=secret.uid,
        resource_version=secret.resource_version,
        dry_run=True,
    )
    assert patched.data["KEY"] == b"new"
    assert await kube.read_secret(secret.namespace, secret.name) == secret


async def test_a_dry_run_meets_the_servers_rules(kube: Kube, namespace: str) -> None:
    with pytest.raises(KubeRefused) as refused:
        await kube.create_secret(manifest(namespace, **{"not a key": "v"}), dry_run=True)
    assert refused.value.status == 422


async def test_a_patch_replaces_removes_and_leaves_other_keys_alone(
    kube: Kube, plane: ControlPlane, secret: SecretView
) -> None:
    foreign = json.dumps({"data": {"FOREIGN": coded("kept")}})
    plane.kubectl("patch", "secret", secret.name, "-n", secret.namespace, "-p", foreign)
    seen = await kube.read_secret(secret.namespace, secret.name)
    assert seen is not None
    after = await kube.patch_secret(
        secret.namespace,
        secret.name,
        {
            "metadata": {"annotations": {"storage.amove.io/key-id": "k-2"}},
            "data": {"KEY": coded("new"), "OLD": None},
        },
        uid=seen.uid,
        resource_version=seen.resource_version,
    )
    assert after.data == {"KEY": b"new", "FOREIGN": b"kept"}
    assert after.annotations == {
        "storage.amove.io/owner-uid": "u-1",
        "storage.amove.io/key-id": "k-2",
    }
    assert after == await kube.read_secret(secret.namespace, secret.name)


async def patch(kube: Kube, secret: SecretView, version: str | None = None) -> SecretView:
    return await kube.patch_secret(
        secret.namespace,
        secret.name,
        {"data": {"KEY": coded("new")}},
        uid=secret.uid,
        resource_version=version or secret.resource_version,
    )


async def test_a_patch_of_a_changed_secret_is_a_conflict(
    kube: Kube, plane: ControlPlane, secret: SecretView
) -> None:
    plane.kubectl("label", "secret", secret.name, "-n", secret.namespace, "x=y")
    with pytest.raises(Conflict):
        await patch(kube, secret)
    after = await kube.read_secret(secret.namespace, secret.name)
    assert after is not None
    assert after.data == secret.data


async def test_a_patch_never_creates_a_secret(kube: Kube, secret: SecretView) -> None:
    assert await kube.delete_secret(secret.namespace, secret.name, uid=secret.uid)
    with pytest.raises(Conflict):
        await patch(kube, secret)
    assert await kube.read_secret(secret.namespace, secret.name) is None


async def test_a_patch_never_reaches_another_secret_of_that_name(
    kube: Kube, secret: SecretView
) -> None:
    await kube.delete_secret(secret.namespace, secret.name, uid=secret.uid)
    other = await kube.create_secret(manifest(secret.namespace, KEY="foreign"))
    with pytest.raises(Conflict):
        await patch(kube, secret)
    # Even with the version of the other one, the uid alone must stop it.
    with pytest.raises(Conflict):
        await patch(kube, secret, other.resource_version)
    assert await kube.read_secret(other.namespace, other.name) == other


async def test_a_patch_that_changes_nothing_keeps_the_version(
    kube: Kube, secret: SecretView
) -> None:
    same = {"data": {"KEY": coded(VALUE)}}
    after = await kube.patch_secret(
        secret.namespace,
        secret.name,
        same,
        uid=secret.uid,
        resource_version=secret.resource_version,
    )
    assert after.resource_version == secret.resource_version


async def test_the_type_of_a_secret_stays(kube: Kube, secret: SecretView) -> None:
    with pytest.raises(KubeRefused) as refused:
        await kube.patch_secret(
            secret.namespace,
            secret.name,
            {"type": "example.com/other"},
            uid=secret.uid,
            resource_version=secret.resource_version,
        )
    assert refused.value.status == 422


async def test_only_the_secret_of_that_uid_is_deleted(kube: Kube, secret: SecretView) -> None:
    with pytest.raises(Conflict):
        await kube.delete_secret(secret.namespace, secret.name, uid="another")
    assert await kube.read_secret(secret.namespace, secret.name) == secret
    assert await kube.delete_secret(secret.namespace, secret.name, uid=secret.uid) is True
    assert await kube.delete_secret(secret.namespace, secret.name, uid=secret.uid) is False


async def test_the_writes_are_signed_with_our_field_manager(
    kube: Kube, plane: ControlPlane, secret: SecretView
) -> None:
    await patch(kube, secret)
    got = plane.kubectl(
        *("get", "secret", secret.name, "-n", secret.namespace),
        *("-o", "json", "--show-managed-fields"),
    )
    managers = {field["manager"] for field in json.loads(got.stdout)["metadata"]["managedFields"]}
    assert managers == {"amove-operator"}


async def test_a_namespace_that_goes_or_is_gone_takes_no_secret(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    held = {"metadata": {"name": "held", "namespace": namespace, "finalizers": ["example.com/x"]}}
    holder = await kube.create_secret(held)
    plane.kubectl("delete", "namespace", namespace, "--wait=false")
    try:
        for target in (namespace, "never-was"):
            with pytest.raises(NamespaceTerminating):
                await kube.create_secret(manifest(target, KEY=VALUE), dry_run=True)
            with pytest.raises(NamespaceTerminating):
                await kube.create_secret(manifest(target, KEY=VALUE))
    finally:
        seen = await kube.read_secret(namespace, "held")
        assert seen is not None
        await kube.patch_secret(
            namespace,
            "held",
            {"metadata": {"finalizers": None}},
            uid=holder.uid,
            resource_version=seen.resource_version,
        )


ECHO = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}
  validations:
  - expression: "!has(object.data) || !('KEY' in object.data)"
    messageExpression: >-
      'team policy 7 refuses ' + object.data['KEY'] + ' in ' + object.metadata.name
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}
"""


@pytest.fixture
def echoing(plane: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace whose admission policy repeats the value that it refuses."""
    policy = ECHO.replace("NAME", namespace)
    plane.kubectl("create", "-f", "-", input=policy)
    yield namespace
    plane.kubectl("delete", "--wait=false", "-f", "-", input=policy)


async def refusal(kube: Kube, namespace: str) -> KubeRefused:
    """Try until the policy is in force."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await kube.create_secret(manifest(namespace, KEY=VALUE), dry_run=True)
            except KubeRefused as error:
                return error
            await asyncio.sleep(0.1)


async def test_a_refusal_that_repeats_the_secret_is_masked(kube: Kube, echoing: str) -> None:
    refused = await refusal(kube, echoing)
    text = str(refused)
    assert "team policy 7 refuses *** in app" in text
    assert VALUE not in text
    assert coded(VALUE) not in text
    assert refused.__cause__ is None
