"""The chart on a real API server: what its roles allow, what its fence refuses, what stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from controlplane import CommandError, ControlPlane
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Manifest
from tests.chart.waiting import until

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
TENANT = "team-a"
GROUP = "storage.amove.io"
DEFINITIONS = "apiextensions.k8s.io"

# (verb, API group, resource, name or "", namespace or "" for the whole cluster)
Access = tuple[str, str, str, str, str]


def access(
    verbs: str, group: str, resource: str, name: str = "", namespace: str = ""
) -> list[Access]:
    return [(verb, group, resource, name, namespace) for verb in verbs.split()]


KINDS = ("amovebuckets", "amovestoragekeys")
BUCKETS, KEYS = KINDS
LEASES = "coordination.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
NEEDED = [
    *access("get list watch patch", GROUP, BUCKETS),
    *access("get list watch patch", GROUP, KEYS),
    *access("get patch", GROUP, f"{BUCKETS}/status"),
    *access("get patch", GROUP, f"{KEYS}/status"),
    *access("get list watch create patch delete", "", "secrets"),
    *access("create", "events.k8s.io", "events"),
    *access("get", "", "namespaces", "kube-system"),
    *access("get", "", "namespaces", TENANT),
    *access("get", "apps", "deployments", RELEASE, NAMESPACE),
    *access("create", LEASES, "leases", "", NAMESPACE),
    *access("get update", LEASES, "leases", RELEASE, NAMESPACE),
    *access("get", ADMISSION, "validatingadmissionpolicies", "amove-fence"),
    *access("get", ADMISSION, "validatingadmissionpolicybindings", "amove-fence"),
    *access("attest", GROUP, "amovebuckets/status", TENANT),
    *access("attest", GROUP, "amovestoragekeys/status", TENANT),
]
REFUSED = [
    *access("list patch update delete", ADMISSION, "validatingadmissionpolicies"),
    *access("get", ADMISSION, "validatingadmissionpolicies", "another"),
    *access("create update delete", GROUP, BUCKETS),
    *access("create update delete", GROUP, KEYS),
    *access("update deletecollection", "", "secrets"),
    *access("get list patch", "events.k8s.io", "events"),
    *access("list create patch delete", "", "namespaces"),
    *access("get list create delete", "", "pods", "", NAMESPACE),
    *access("create", "", "serviceaccounts/token", "", NAMESPACE),
    *access("get list", "", "configmaps", "", NAMESPACE),
    *access("get", "apps", "deployments", "another", NAMESPACE),
    *access("get", "apps", "deployments", RELEASE, TENANT),
    *access("list patch update delete", "apps", "deployments", "", NAMESPACE),
    *access("create", LEASES, "leases", "", TENANT),
    *access("update", LEASES, "leases", "another", NAMESPACE),
    *access("list delete", LEASES, "leases", "", NAMESPACE),
    *access("list create patch delete", DEFINITIONS, "customresourcedefinitions"),
    *access("create bind escalate", "rbac.authorization.k8s.io", "clusterroles"),
    *access("impersonate", "", "users"),
]
KEY_SPEC = {"permission": "Read", "bucketRefs": [{"name": "any"}]}
SPECS: dict[str, Manifest] = {"AmoveBucket": {}, "AmoveStorageKey": KEY_SPEC}


def install(plane: ControlPlane, release: str, namespace: str, *options: str) -> None:
    """Install the chart with credentials that need not be there, since no Pod starts."""
    credentials = "--set=credentials.existingSecret=amove,image.repository=unused"
    plane.helm("install", release, str(CHART), f"--namespace={namespace}", credentials, *options)


@pytest.fixture(scope="module", autouse=True)
def installed(plane: ControlPlane) -> None:
    """The chart, in a namespace that admits only restricted Pods, and a tenant."""
    for namespace in (NAMESPACE, TENANT):
        plane.kubectl("create", "namespace", namespace)
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    plane.kubectl("label", "namespace", NAMESPACE, enforce)
    install(plane, RELEASE, NAMESPACE)
    for kind in KINDS:
        plane.kubectl(
            "wait", "--for=condition=Established", f"crd/{kind}.{GROUP}", "--timeout=120s"
        )


def reviewed(plane: ControlPlane, user: str, asked: list[Access]) -> dict[Access, bool]:
    """Ask the API server's authorizer about every access, in one request of kubectl."""
    reviews = [review(user, *each) for each in asked]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    command = ("create", "--filename=-", "--output=jsonpath={.status.allowed} ")
    answers = plane.kubectl(*command, input=manifest).stdout.split()
    assert len(answers) == len(asked)
    return {each: answer == "true" for each, answer in zip(asked, answers, strict=True)}


def review(user: str, verb: str, group: str, resource: str, name: str, namespace: str) -> Manifest:
    resource, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "name": name,
        "namespace": namespace,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }


def test_the_service_account_may_do_all_that_the_operator_does(plane: ControlPlane) -> None:
    answers = reviewed(plane, OPERATOR, NEEDED)
    assert [each for each, allowed in answers.items() if not allowed] == []


def test_the_service_account_may_do_no_more(plane: ControlPlane) -> None:
    answers = reviewed(plane, OPERATOR, REFUSED)
    assert [each for each, allowed in answers.items() if allowed] == []


def test_with_watched_namespaces_the_others_are_closed(plane: ControlPlane) -> None:
    for namespace in ("narrow", "watched"):
        plane.kubectl("create", "namespace", namespace)
    options = "--set=crds.install=false,replicas=0,settings.watchNamespaces={watched}"
    install(plane, "narrow", "narrow", options)
    user = "system:serviceaccount:narrow:narrow-amove-operator"
    tenants = [
        each
        for each in NEEDED
        if each[0] != "attest" and (each[2] == "secrets" or each[1] == GROUP)
    ]
    inside = [(*each[:4], "watched") for each in tenants]
    inside += access("get", "", "namespaces", "kube-system")
    inside += access("get", "", "namespaces", "watched")
    # What a namespace that went still holds must be let go, though the role there went first.
    lets_go = [each for kind in KINDS for each in access("get patch", GROUP, kind, "", TENANT)]
    inside += access("attest", GROUP, "amovebuckets/status", "watched")
    inside += access("attest", GROUP, "amovestoragekeys/status", "watched")
    outside = [(*each[:4], TENANT) for each in tenants]
    outside = [each for each in outside if each not in lets_go]
    outside += access("get", "", "namespaces", TENANT)
    inside += lets_go
    outside += access("attest", GROUP, "amovebuckets/status", TENANT)
    outside += access("attest", GROUP, "amovestoragekeys/status")
    assert all(reviewed(plane, user, inside).values())
    assert not any(reviewed(plane, user, outside).values())


def test_a_missing_namespace_is_said_before_anything_is_installed(plane: ControlPlane) -> None:
    plane.kubectl("create", "namespace", "early")
    names = "settings.watchNamespaces={early,absent},settings.leaseNamespace=leases"
    absent = f"--set=crds.install=false,{names}"
    with pytest.raises(CommandError) as refusal:
        install(plane, "early", "early", absent)
    said = str(refusal.value)
    for path, name in (("watchNamespaces/1", "absent"), ("leaseNamespace", "leases")):
        assert f"- at '/settings/{path}': there is no namespace \"{name}\"" in said
        assert f"kubectl create namespace {name}" in said
    assert "watchNamespaces/0" not in said
    assert plane.helm("list", "--namespace=early", "--short").stdout == ""
    release = ("--all-namespaces", "--selector=app.kubernetes.io/instance=early", "--output=name")
    assert plane.kubectl("get", "roles,serviceaccounts,deployments", *release).stdout == ""


@pytest.mark.parametrize(
    "change", ["settings.leaseName=b", "settings.leaseNamespace=default", "fullnameOverride=b"]
)
def test_a_running_release_keeps_its_lease(plane: ControlPlane, change: str) -> None:
    """Else old and new Pods would both lead: docs/policies.md."""
    upgrade = (RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--dry-run=server")
    same = ("--reset-then-reuse-values", "--set=replicas=3")
    plane.helm("upgrade", *upgrade, *same)
    with pytest.raises(CommandError, match=f"runs by the Lease {NAMESPACE}/{RELEASE}, and beside"):
        plane.helm("upgrade", *upgrade, *same, f"--set={change}")
    plane.kubectl("scale", "deployment", RELEASE, "--replicas=0", f"--namespace={NAMESPACE}")
    plane.helm("upgrade", *upgrade, *same, f"--set={change}")
    plane.kubectl("scale", "deployment", RELEASE, "--replicas=2", f"--namespace={NAMESPACE}")


def test_the_pod_is_admitted_where_only_restricted_pods_are(plane: ControlPlane) -> None:
    root = plane.kubectl(
        "run", "root", "--image=any", f"--namespace={NAMESPACE}", "--dry-run=server", check=False
    )
    assert 'violates PodSecurity "restricted' in root.stderr

    def pods() -> str:
        query = ("get", "pods", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/name")
        return plane.kubectl(*query, "--output=name").stdout

    until("the operator's Pod exists", pods)


@pytest.fixture
def edits_everything(plane: ControlPlane) -> Path:
    """A kubeconfig of a tenant whose role in the namespace has a wildcard for our kinds."""
    role = ("role", "all-of-amove", f"--namespace={TENANT}")
    if plane.kubectl("get", *role, check=False).returncode != 0:
        plane.kubectl("create", *role, "--verb=*", f"--resource=*.{GROUP}")
        binding = ("rolebinding", "all-of-amove", f"--namespace={TENANT}")
        plane.kubectl("create", *binding, "--role=all-of-amove", "--user=tenant")
    return plane.user_kubeconfig("tenant")


@pytest.fixture
def resources(plane: ControlPlane) -> Iterator[list[str]]:
    """One resource of the tenant of each kind, as ``kind/name``."""
    names = [f"{kind.lower()}/claimed" for kind in SPECS]
    for kind, spec in SPECS.items():
        manifest = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": kind,
            "metadata": {"name": "claimed", "namespace": TENANT},
            "spec": spec,
        }
        plane.kubectl("create", "--filename=-", input=json.dumps(manifest))
    yield names
    plane.kubectl("delete", *names, f"--namespace={TENANT}")


def write_status(plane: ControlPlane, resource: str, kubeconfig: Path) -> str:
    """Try to write a status; answer what the API server complained about."""
    patch = json.dumps({"status": {"observedGeneration": 1}})
    args = ("patch", resource, f"--namespace={TENANT}", "--subresource=status", "--type=merge")
    return plane.kubectl(*args, f"--patch={patch}", kubeconfig=kubeconfig, check=False).stderr


def test_a_role_with_a_wildcard_does_not_reach_the_status(
    plane: ControlPlane, edits_everything: Path, resources: list[str]
) -> None:
    for each in resources:
        attempt = partial(write_status, plane, each, edits_everything)
        # A policy that was made a moment ago may take a moment to hold.
        complaint = until("the fence holds", attempt)
        assert "The status proves whose a bucket or key is" in complaint
        assert "the right 'attest'" in complaint


def test_the_fence_leaves_the_rest_of_a_resource_to_its_owner(
    plane: ControlPlane, edits_everything: Path, resources: list[str]
) -> None:
    command = ("annotate", *resources, f"--namespace={TENANT}", "by=tenant")
    plane.kubectl(*command, kubeconfig=edits_everything)


def test_the_operator_and_an_admin_write_the_status(
    plane: ControlPlane, resources: list[str]
) -> None:
    operator = plane.service_account_kubeconfig(NAMESPACE, RELEASE)
    for each in resources:
        assert write_status(plane, each, operator) == ""
        assert write_status(plane, each, plane.kubeconfig) == ""


def test_the_edit_role_reaches_the_kinds_but_not_their_status(plane: ControlPlane) -> None:
    binding = ("rolebinding", "ordinary", f"--namespace={TENANT}")
    plane.kubectl("create", *binding, "--clusterrole=edit", "--user=ordinary")
    theirs: list[Access] = []
    fenced: list[Access] = []
    for kind in KINDS:
        theirs += access("get list watch create update patch delete", GROUP, kind, "", TENANT)
        fenced += access("update patch", GROUP, f"{kind}/status", "", TENANT)
    # The controller that adds up the roles takes a moment.
    until("edit holds ours", lambda: all(reviewed(plane, "ordinary", theirs).values()))
    assert not any(reviewed(plane, "ordinary", fenced).values())


def test_uninstalling_leaves_the_kinds_the_fence_and_what_is_of_them(
    plane: ControlPlane, resources: list[str]
) -> None:
    plane.kubectl("create", "namespace", "leaving")
    # As a release of its own it must take the CRDs over from the one that all tests share.
    values = "--set=replicas=0,settings.watchNamespaces={leaving}"
    install(plane, "leaving", "leaving", "--take-ownership", values)
    plane.helm("uninstall", "leaving", "--namespace=leaving")
    definitions = [f"crd/{kind}.{GROUP}" for kind in KINDS]
    # A definition on its way out still answers: it must not even have been told to go.
    times = "--output=jsonpath={.items[*].metadata.deletionTimestamp}"
    assert plane.kubectl("get", *definitions, times).stdout == ""
    plane.kubectl("get", *resources, f"--namespace={TENANT}")
    fence = [f"validatingadmissionpolic{end}/amove-fence" for end in ("y", "ybinding")]
    assert plane.kubectl("get", *fence, times).stdout == ""
    role = plane.kubectl("get", "clusterrole", "leaving-amove-operator", check=False)
    assert "NotFound" in role.stderr
