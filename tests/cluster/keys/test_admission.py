"""What the cluster's own admission makes of the operator's writes: changed, refused, held up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amove_emulator import Emulator
from controlplane.components import free_ports
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
)
from tests.cluster.harness_cluster import OPERATOR_USER, Cluster
from tests.cluster.harness_keys import a_secret, live_ids, mints, revoked

REFUSAL = "the platform team says no"
MANAGED_BY = "app.kubernetes.io/managed-by"
SECRETS: Manifest = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
OURS: Manifest = {"apiGroups": ["storage.amove.io"], "apiVersions": ["v1alpha1"]}
Lift = Callable[[], None]
Install = Callable[..., Lift]


@pytest.fixture
def install(plane: ControlPlane, namespace: str) -> Iterator[Install]:
    """Put manifests of admission into force for the test's namespace; what takes them away."""
    there: list[list[Manifest]] = []

    def lift(manifests: list[Manifest]) -> None:
        if manifests in there:
            there.remove(manifests)
            for one in manifests:
                plane.kubectl("delete", one["kind"], one["metadata"]["name"])

    def put(*manifests: Manifest) -> Lift:
        for one in manifests:
            plane.kubectl("create", "-f", "-", input=json.dumps(one))
        there.append(list(manifests))
        return lambda: lift(list(manifests))

    yield put
    for manifests in list(there):
        lift(manifests)


def in_force(cluster: Cluster, probe: Callable[[Manifest], bool], shape: Manifest) -> None:
    """Wait until the API server heeds what was put into force, by a dry run of ours."""
    where = f"--namespace={cluster.namespace}"

    def heeded() -> bool:
        done = cluster.plane.kubectl(
            *("create", "--dry-run=server", "--output=json", "-f", "-", where),
            input=json.dumps(shape),
            check=False,
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {"refused": done.stderr}
        return probe(answer)

    eventually(heeded, what="the admission in force")


def of_namespace(namespace: str) -> Manifest:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def changing(namespace: str, labels: dict[str, str], when: str = "true") -> list[Manifest]:
    """A MutatingAdmissionPolicy that sets labels on every Secret."""
    pairs = ", ".join(f"{json.dumps(name)}: {json.dumps(text)}" for name, text in labels.items())
    made = f"Object{{metadata: Object.metadata{{labels: {{{pairs}}}}}}}"
    spec = {
        "matchConstraints": {"resourceRules": [{**SECRETS, "operations": ["CREATE", "UPDATE"]}]},
        "matchConditions": [{"name": "when", "expression": when}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": made}}
        ],
    }
    return policy("MutatingAdmissionPolicy", namespace, spec)


def refusing(namespace: str, rule: Manifest, when: str) -> list[Manifest]:
    """A ValidatingAdmissionPolicy that refuses what ``when`` is true of."""
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "failurePolicy": "Fail",
        "validations": [{"expression": f"!({when})", "message": REFUSAL}],
    }
    return policy("ValidatingAdmissionPolicy", namespace, spec, validationActions=["Deny"])


def policy(kind: str, namespace: str, spec: Manifest, **binding: Any) -> list[Manifest]:
    name = f"{kind.lower()}-{namespace}"
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    where = {"namespaceSelector": of_namespace(namespace)}
    bound = {"policyName": name, "matchResources": where, **binding}
    return [{**head, "kind": kind, "spec": spec}, {**head, "kind": f"{kind}Binding", "spec": bound}]


def dead_webhook(namespace: str, rule: Manifest) -> Manifest:
    """A webhook that nobody serves."""
    (port,) = free_ports(1)
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"dead-{namespace}"},
        "webhooks": [
            {
                "name": "dead.example.com",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
                "rules": [rule],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "namespaceSelector": of_namespace(namespace),
            }
        ],
    }


def labelled(answer: Manifest, name: str, text: str) -> bool:
    return bool(answer.get("metadata", {}).get("labels", {}).get(name) == text)


PROBE = a_secret("probe", {"a": "b"})
BY_US = f"request.userInfo.username == '{OPERATOR_USER}'"
LABELLED: dict[str, Any] = {
    "bucketRefs": refs("photos"),
    "secret": {"labels": {"team": "web"}},
}


# ---------------------------------------------------------------- changed


def test_a_policy_that_changes_what_was_asked_for_is_named_and_costs_no_key(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, install: Install
) -> None:
    run_operator()
    lift = install(*changing(cluster.namespace, {"team": "platform"}))
    in_force(cluster, lambda answer: labelled(answer, "team", "platform"), PROBE)
    cluster.apply(a_bucket("photos"), a_key("app", **LABELLED))
    seen = cluster.until(KEY, "app", "Stalled", "SecretWriteRefused")
    said = condition(seen, "Stalled")["message"]
    assert "metadata.labels[team]" in said
    assert "platform" not in said
    assert (mints(emulator), cluster.get("Secret", "app")) == (0, None)

    lift()
    in_force(cluster, lambda answer: not labelled(answer, "team", "platform"), PROBE)
    cluster.annotate(KEY, "app", reconcile_requested_at="now")
    cluster.ready(KEY, "app")
    assert mints(emulator) == 1


def test_a_policy_that_changes_only_what_is_truly_written_costs_the_key_of_that_try(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, install: Install
) -> None:
    run_operator()
    install(*changing(cluster.namespace, {"team": "platform"}, when="!request.dryRun"))
    probe = a_secret("probe", {"a": "b"})

    def heeded() -> bool:
        (made,) = cluster.apply(probe)
        cluster.delete("Secret", "probe")
        return labelled(made, "team", "platform")

    eventually(heeded, what="the policy in force")
    cluster.apply(a_bucket("photos"), a_key("app", **LABELLED))
    seen = cluster.until(KEY, "app", "Stalled", "SecretWriteRefused")
    assert "metadata.labels[team]" in condition(seen, "Stalled")["message"]
    eventually(lambda: live_ids(emulator) == set(), what="the end of the fresh key")
    assert mints(emulator) == len(revoked(emulator)) == 1


def test_a_policy_that_says_who_manages_every_secret_and_adds_to_it_disturbs_nothing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, install: Install
) -> None:
    run_operator()
    install(*changing(cluster.namespace, {MANAGED_BY: "platform", "scanned": "yes"}))
    in_force(cluster, lambda answer: labelled(answer, "scanned", "yes"), PROBE)
    cluster.apply(a_bucket("photos"), a_key("app", **LABELLED))
    first = cluster.ready(KEY, "app")
    assert cluster.found("Secret", "app")["metadata"]["labels"][MANAGED_BY] == "platform"
    cluster.annotate(KEY, "app", rotate_requested_at="now")

    def rotated() -> bool:
        now = cluster.ready(KEY, "app")["status"]
        return bool(now["key"]["id"] != first["status"]["key"]["id"])

    eventually(rotated, what="another key")
    assert mints(emulator) == 2
    assert revoked(emulator) == []


# ---------------------------------------------------------------- held up, refused


def test_a_webhook_that_is_down_holds_up_the_secret_without_stalling_or_issuing(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, install: Install
) -> None:
    run_operator()
    lift = install(dead_webhook(cluster.namespace, {**SECRETS, "operations": ["CREATE", "UPDATE"]}))
    in_force(cluster, lambda answer: "dead.example.com" in answer.get("refused", ""), PROBE)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    seen = cluster.until(KEY, "app", "Synced", "SecretWriteRefused", status="False")
    assert "dead.example.com" in condition(seen, "Synced")["message"]
    assert condition(seen, "Stalled") == {}
    assert condition(seen, "Ready")["status"] == "False"
    assert mints(emulator) == 0

    lift()

    cluster.ready(KEY, "app")  # by itself: the resync of this operator is an hour away
    assert mints(emulator) == 1


def refused_to_us(cluster: Cluster, *command: str) -> None:
    """Wait until a policy refuses this of the operator."""
    asked = (*command, f"--namespace={cluster.namespace}", "--dry-run=server")

    def refused() -> bool:
        done = cluster.plane.kubectl(*asked, f"--as={OPERATOR_USER}", check=False)
        return REFUSAL in done.stderr

    eventually(refused, what="the policy in force")


def test_a_finalizer_that_is_refused_shows_on_the_object(
    cluster: Cluster, run_operator: RunOperator, install: Install
) -> None:
    run_operator(resync_interval="2s")
    cluster.apply(a_bucket("before"))
    cluster.ready(BUCKET, "before")
    rule = {**OURS, "resources": ["amovebuckets"], "operations": ["UPDATE"]}
    lift = install(*refusing(cluster.namespace, rule, BY_US))
    refused_to_us(cluster, "annotate", "amovebucket", "before", "a=b")
    cluster.apply(a_bucket("photos"))
    seen = cluster.until(BUCKET, "photos", "Synced", "KubernetesRefused", status="False")
    assert REFUSAL in condition(seen, "Synced")["message"]
    assert condition(seen, "Stalled") == {}
    assert condition(seen, "Ready")["reason"] == "KubernetesRefused"
    lift()
    cluster.ready(BUCKET, "photos")


def test_a_deletion_of_the_secret_that_is_refused_shows_on_the_key_which_stays(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, install: Install
) -> None:
    run_operator(resync_interval="2s")
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    rule = {**SECRETS, "operations": ["DELETE"]}
    lift = install(*refusing(cluster.namespace, rule, BY_US))
    refused_to_us(cluster, "delete", "secret", "app")
    cluster.delete(KEY, "app")
    seen = cluster.until(KEY, "app", "Synced", "KubernetesRefused", status="False")
    assert REFUSAL in condition(seen, "Synced")["message"]
    assert live_ids(emulator) == set()
    lift()
    cluster.gone(KEY, "app")
    assert cluster.get("Secret", "app") is None


def test_where_status_is_refused_as_well_one_event_says_so(
    cluster: Cluster, run_operator: RunOperator, install: Install
) -> None:
    operator = run_operator(resync_interval="1s")
    cluster.apply(a_bucket("before"))
    cluster.ready(BUCKET, "before")
    plurals = ["amovebuckets", "amovebuckets/status"]
    rule = {**OURS, "resources": plurals, "operations": ["UPDATE"]}
    lift = install(*refusing(cluster.namespace, rule, BY_US))
    refused_to_us(cluster, "annotate", "amovebucket", "before", "a=b")
    cluster.apply(a_bucket("photos"))

    def told() -> list[str]:
        """What Events say of it: the resync comes each second, and each try is refused."""
        notes = [note for reason, note in cluster.events("photos") if reason == "KubernetesRefused"]
        return [note for note in notes if REFUSAL in note]

    eventually(told, what="an Event")
    tries = operator.log.count(REFUSAL)
    eventually(lambda: operator.log.count(REFUSAL) >= tries + 6, what="several tries more")
    assert len(told()) == 1
    assert condition(cluster.found(BUCKET, "photos"), "Synced") == {}
    lift()
    cluster.ready(BUCKET, "photos")


# ---------------------------------------------------------------- replaced, and counted


def test_a_key_whose_secret_was_replaced_by_a_put_retires_and_theirs_stays(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, plane: ControlPlane
) -> None:
    run_operator()
    rotation = {"gracePeriod": "1s"}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), rotation=rotation))
    key = cluster.ready(KEY, "app")["status"]["key"]["id"]
    theirs = a_secret("app", {"password": "theirs"}, namespace=cluster.namespace)
    plane.kubectl("replace", "-f", "-", input=json.dumps(theirs))
    stored = cluster.found("Secret", "app")

    cluster.until(KEY, "app", "Stalled", "SecretConflict")
    eventually(lambda: revoked(emulator) == [key], what="the end of the key that ours held")

    assert cluster.found("Secret", "app") == stored
    assert (mints(emulator), live_ids(emulator)) == (1, set())


def test_a_new_key_costs_two_requests_for_its_secret(
    cluster: Cluster, run_operator: RunOperator
) -> None:
    """A dry run, whose success proves that there is none, and the write, which answers with it."""
    run_operator()
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    since = cluster.now()
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    asked = [
        (one.verb, one.dry_run)
        for one in cluster.requests(since)
        if one.resource == "secrets" and one.verb not in ("list", "watch")
    ]
    assert asked == [("create", True), ("create", False)]
