"""The real thing: what demo and tests lean on, proved on the one control plane of the run."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane import CommandError, CommandTimeout, ControlPlane, audit_events
from controlplane.certificates import Authority
from controlplane.kubeconfigs import Cluster, certificate_user, write_kubeconfig
from tests.controlplane.stand_ins import wait_for

Manifest = dict[str, Any]


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = f"controlplane-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def apply(plane: ControlPlane, *manifests: Manifest) -> None:
    items: Manifest = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    plane.kubectl("apply", "-f", "-", input=json.dumps(items))


def read(plane: ControlPlane, *what: str) -> Any:
    return json.loads(plane.kubectl("get", *what, "--output=json").stdout)


def exists(plane: ControlPlane, *what: str) -> bool:
    return plane.kubectl("get", *what, "--ignore-not-found").stdout != ""


def config_map(namespace: str, name: str, owners: tuple[Manifest, ...] = ()) -> Manifest:
    metadata = {"namespace": namespace, "name": name, "ownerReferences": list(owners)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_server_and_client_are_of_the_pinned_version(control_plane: ControlPlane) -> None:
    versions = json.loads(control_plane.kubectl("version", "--output=json").stdout)

    assert versions["serverVersion"]["minor"] == "36"
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"]


def test_a_client_that_trusts_another_authority_refuses_the_server(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    stranger = Authority("controlplane")
    user = certificate_user(*stranger.client("controlplane-admin", ["system:masters"]))
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig", Cluster(control_plane.server, stranger.pem), user
    )

    with pytest.raises(CommandError, match="certificate signed by unknown authority"):
        control_plane.kubectl("get", "--raw=/readyz", kubeconfig=kubeconfig)


def test_a_certificate_of_another_authority_lets_nobody_in(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    stranger = Authority("controlplane")
    user = certificate_user(*stranger.client("controlplane-admin", ["system:masters"]))
    cluster = Cluster(control_plane.server, control_plane.ca_file.read_bytes())
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", cluster, user)

    with pytest.raises(CommandError, match="must be logged in"):
        control_plane.kubectl("get", "namespaces", kubeconfig=kubeconfig)


def test_no_kubeconfig_turns_verification_off(control_plane: ControlPlane) -> None:
    cluster = read_kubeconfig(control_plane.kubeconfig)["clusters"][0]["cluster"]

    assert set(cluster) == {"server", "certificate-authority-data"}


def read_kubeconfig(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_service_account_can_do_what_its_roles_say_and_nothing_more(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("create", "serviceaccount", "worker", "-n", namespace)
    worker = control_plane.service_account_kubeconfig(namespace, "worker")

    with pytest.raises(CommandError, match="Forbidden"):
        control_plane.kubectl("get", "configmaps", kubeconfig=worker)

    control_plane.kubectl(
        "create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", namespace
    )
    subject = f"--serviceaccount={namespace}:worker"
    control_plane.kubectl(
        "create", "rolebinding", "reader", "--role=reader", subject, "-n", namespace
    )
    # The authorizer reads roles from a watch, so they count a moment later.
    wait_for(
        lambda: (
            control_plane.kubectl("get", "configmaps", kubeconfig=worker, check=False).returncode
            == 0
        )
    )
    with pytest.raises(CommandError, match="Forbidden"):
        control_plane.kubectl("get", "secrets", kubeconfig=worker)


def test_a_token_and_a_key_can_be_read_by_their_owner_only(
    control_plane: ControlPlane, namespace: str
) -> None:
    files = [
        control_plane.kubeconfig,
        control_plane.service_account_kubeconfig(namespace, "default"),
        control_plane.user_kubeconfig("alice"),
        control_plane.kubeconfig.parent / "pki" / "sa.key",
    ]

    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * len(files)


def test_a_user_is_known_by_name_and_groups(control_plane: ControlPlane) -> None:
    alice = control_plane.user_kubeconfig("alice", ["team-a", "team-b"])

    answer = control_plane.kubectl("auth", "whoami", "--output=json", kubeconfig=alice).stdout
    user = json.loads(answer)["status"]["userInfo"]

    assert user["username"] == "alice"
    assert {"team-a", "team-b"} <= set(user["groups"])


def test_a_role_that_is_marked_for_it_joins_the_edit_role(
    control_plane: ControlPlane, namespace: str
) -> None:
    rule = {"apiGroups": ["example.test"], "resources": [namespace], "verbs": ["get"]}
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": namespace, "labels": label},
        "rules": [rule],
    }
    apply(control_plane, role)

    wait_for(lambda: rule in read(control_plane, "clusterrole", "edit")["rules"])

    control_plane.kubectl("delete", "clusterrole", namespace)


def test_a_deployments_pod_is_admitted_and_not_started(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl(
        "create", "deployment", "app", "--image=example.test/app:1", "-n", namespace
    )

    wait_for(lambda: len(read(control_plane, "pods", "-n", namespace)["items"]) == 1)

    (pod,) = read(control_plane, "pods", "-n", namespace)["items"]
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]
    assert pod["spec"]["serviceAccountName"] == "default"


def test_pod_security_refuses_what_a_namespace_forbids(
    control_plane: ControlPlane, namespace: str
) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    control_plane.kubectl("label", "namespace", namespace, level)

    with pytest.raises(CommandError, match='violates PodSecurity "restricted'):
        control_plane.kubectl("run", "app", "--image=example.test/app:1", "-n", namespace)


def test_an_object_goes_when_its_owner_goes(control_plane: ControlPlane, namespace: str) -> None:
    apply(control_plane, config_map(namespace, "owner"))
    uid = read(control_plane, "configmap", "owner", "-n", namespace)["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    apply(control_plane, config_map(namespace, "owned", (reference,)))

    control_plane.kubectl("delete", "configmap", "owner", "-n", namespace)

    wait_for(lambda: not exists(control_plane, "configmap", "owned", "-n", namespace))


def test_after_a_restart_the_garbage_collector_knows_a_fresh_kind(
    control_plane: ControlPlane, namespace: str
) -> None:
    group = f"{namespace}.test"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": "things", "singular": "thing", "kind": "Thing"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kind = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    apply(control_plane, kind)
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/things.{group}")

    control_plane.restart_controller_manager()

    identity = {"namespace": namespace, "name": "owner"}
    apply(control_plane, {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": identity})
    uid = read(control_plane, f"things.{group}", "owner", "-n", namespace)["metadata"]["uid"]
    reference = {"apiVersion": f"{group}/v1", "kind": "Thing", "name": "owner", "uid": uid}
    apply(control_plane, config_map(namespace, "owned", (reference,)))
    control_plane.kubectl("delete", f"things.{group}", "owner", "-n", namespace)
    wait_for(lambda: not exists(control_plane, "configmap", "owned", "-n", namespace))

    control_plane.kubectl("delete", "crd", f"things.{group}")


def test_a_deleted_namespace_goes_with_what_is_in_it(
    control_plane: ControlPlane, namespace: str
) -> None:
    apply(control_plane, config_map(namespace, "content"))

    control_plane.kubectl("delete", "namespace", namespace)

    assert not exists(control_plane, "namespace", namespace)


def test_requests_are_logged_with_user_target_and_answer_and_without_bodies(
    control_plane: ControlPlane, namespace: str
) -> None:
    alice = control_plane.user_kubeconfig("alice")
    create = ("create", "configmap", "mine", "--from-literal=word=swordfish", "-n", namespace)
    control_plane.kubectl(*create, kubeconfig=alice, check=False)
    control_plane.kubectl(*create, "--dry-run=server")
    control_plane.kubectl(*create)

    events = [
        event
        for event in audit_events(control_plane.audit_log)
        if (event.namespace, event.resource, event.verb) == (namespace, "configmaps", "create")
        and event.user in ("alice", "controlplane-admin")
    ]

    answers = [(event.user, event.code, event.dry_run, event.writes) for event in events]
    assert answers == [
        ("alice", 403, False, True),
        ("controlplane-admin", 201, True, False),
        ("controlplane-admin", 201, False, True),
    ]
    assert "swordfish" not in control_plane.audit_log.read_text()


def test_helm_installs_a_chart(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\n"
    (tmp_path / "templates" / "map.yaml").write_text(template)

    control_plane.helm("install", "mine", str(tmp_path), "-n", namespace)
    assert exists(control_plane, "configmap", "mine", "-n", namespace)

    control_plane.helm("uninstall", "mine", "-n", namespace)
    assert not exists(control_plane, "configmap", "mine", "-n", namespace)


def test_a_failed_command_says_what_kubectl_said(control_plane: ControlPlane) -> None:
    with pytest.raises(CommandError) as failure:
        control_plane.kubectl("get", "namespace", "nowhere")

    assert failure.value.returncode == 1
    assert str(failure.value) == (
        "kubectl get namespace nowhere ended with status 1: "
        'Error from server (NotFound): namespaces "nowhere" not found'
    )


def test_a_command_that_does_not_end_tells_what_it_and_the_server_said(
    control_plane: ControlPlane,
) -> None:
    watching = ("get", "namespace", "default", "--watch", "--output=name")
    with pytest.raises(CommandTimeout) as raised:
        control_plane.kubectl(*watching, timeout=3)
    said, _, logged = str(raised.value).partition("The end of the API server's log:")
    assert "did not end within 3 s; it said: namespace/default" in said
    assert logged.strip()


def test_an_outage_ends_with_everything_as_it_was(
    control_plane: ControlPlane, namespace: str
) -> None:
    apply(control_plane, config_map(namespace, "content"))
    server = control_plane.server

    control_plane.stop_apiserver()
    try:
        with pytest.raises(CommandError, match="refused"):
            control_plane.kubectl("get", "namespaces")
    finally:
        control_plane.start_apiserver()

    assert control_plane.server == server
    assert exists(control_plane, "configmap", "content", "-n", namespace)
