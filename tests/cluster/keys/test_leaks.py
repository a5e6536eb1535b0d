"""No issued secret is anywhere but in its Secret, whatever goes wrong on the way."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest

from amove_emulator import Emulator
from controlplane.components import free_ports
from controlplane.launcher import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_ids, mints, most_live
from tests.cluster.harness_operator import Operator

REFUSAL = "no Secrets of this name today"


@pytest.fixture
def refusing(plane: ControlPlane, namespace: str) -> Iterator[None]:
    """Real writes (dry runs pass) of Secrets called refused are refused, data in the message."""
    name = f"refusing-{namespace}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["secrets"],
                    }
                ]
            },
            "validations": [
                {
                    "expression": "!object.metadata.name.startsWith('refused') || request.dryRun",
                    "messageExpression": (
                        f"'{REFUSAL}: ' + object.data.map(k, k + '=' + string(object.data[k]))"
                        ".join(',')"
                    ),
                }
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(policy))
    plane.kubectl("create", "-f", "-", input=json.dumps(binding))
    probe = a_refused_secret(namespace)

    def refuses() -> bool:
        done = plane.kubectl("create", "-f", "-", input=json.dumps(probe), check=False)
        if done.returncode == 0:
            plane.kubectl("delete", "secret", "refused-probe", f"--namespace={namespace}")
        return REFUSAL in done.stderr

    eventually(refuses, what="the policy in force")
    yield
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        plane.kubectl("delete", kind, name)


def a_refused_secret(namespace: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "refused-probe", "namespace": namespace},
        "stringData": {"probe": "probe"},
    }


def told(operator: Operator, metrics_port: int, cluster: Cluster) -> dict[str, str]:
    """Everything that others than the Secret's readers may see."""
    metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False).text
    return {
        "log": operator.log,
        "metrics": metrics,
        "events": json.dumps(cluster.every("Event")),
        "keys": json.dumps(cluster.every(KEY)),
        "buckets": json.dumps(cluster.every(BUCKET)),
    }


def forms(value: str) -> list[str]:
    """A value as it is, in base64 at each offset, and as JSON has it."""
    shifted = [b64encode(b"x" * n + value.encode()).decode()[4 * (n > 0) : -4] for n in range(3)]
    return [value, json.dumps(value)[1:-1], *(text for text in shifted if len(text) > 15)]


def test_no_issued_secret_and_no_token_is_told_anywhere(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, refusing: None
) -> None:
    faults = emulator.control.fault
    faults("create_storage_key", contains="lost", drop="after")
    faults("create_storage_key", contains="broken", truncate_at=200)
    faults("create_storage_key", contains="odd", content_type="text/html")
    faults("create_storage_key", contains="failing", status=500, effect=True)
    faults("delete_storage_key", status=499, code="ACCESS", message="Not you.")
    faults("get_storage_key", nth=2, body="<html>", content_type="text/html")
    (port,) = free_ports(1)
    operator = run_operator(log_level="DEBUG", mint_budget=20, metrics_port=port)
    names = ("lost", "broken", "odd", "failing", "plain")
    cluster.apply(a_bucket("photos"))
    cluster.apply(*(a_key(name, bucketRefs=refs("photos")) for name in (*names, "refused")))
    for name in names:
        cluster.ready(KEY, name)
    eventually(lambda: REFUSAL in operator.log, what="a refused write of the Secret")
    for name in names:
        cluster.annotate(KEY, name, rotate_requested_at="now")
    eventually(lambda: mints(emulator) >= 11, what="rotations")
    cluster.delete("Secret", "plain")
    cluster.delete(KEY, "lost")
    cluster.gone(KEY, "lost")

    seen = told(operator, port, cluster)

    known = emulator.control.credentials()
    values = [*known["secretKeys"], *known["others"], emulator.api_token]
    assert len(known["secretKeys"]) >= 11
    for where, text in seen.items():
        for value in values:
            for form in forms(value):
                assert form not in text, f"a credential in the {where}"


def test_a_secret_that_is_refused_after_a_passed_dry_run_costs_one_key_a_try(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, refusing: None
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("refused", bucketRefs=refs("photos")))
    cluster.until(KEY, "refused", "Stalled", "SecretWriteRefused")
    assert mints(emulator) == 1
    assert most_live(emulator) == 1
    assert live_ids(emulator) == set()
    assert cluster.get("Secret", "refused") is None

    cluster.annotate(KEY, "refused", reconcile_requested_at="now")

    eventually(lambda: mints(emulator) == 2, what="another try, since a person asked for it")
    eventually(lambda: live_ids(emulator) == set(), what="and its end")

    cluster.delete(KEY, "refused")

    cluster.gone(KEY, "refused")


def test_a_secret_that_a_dry_run_refuses_costs_no_key(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    plane: ControlPlane,
    namespace: str,
) -> None:
    run_operator()
    where = f"--namespace={namespace}"
    plane.kubectl("create", "quota", "none", "--hard=secrets=0", where)
    # What the quota controller would do; it does not run here.
    counted = {"status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}}}
    status = ("--subresource=status", "--type=merge", "--patch", json.dumps(counted))
    plane.kubectl("patch", "quota", "none", where, *status)
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
    cluster.until(KEY, "app", "Stalled", "SecretWriteRefused")
    assert mints(emulator) == 0

    plane.kubectl("delete", "quota", "none", where)
    cluster.annotate(KEY, "app", reconcile_requested_at="now")

    cluster.ready(KEY, "app")
    assert mints(emulator) == 1
