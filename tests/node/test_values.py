"""The chart's sets of values (its folder ci), each installed under Pod Security restricted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node.release import CA_FILE, CHART, HERE, NAME, NAMESPACE, Manifest, Release
from tests.node.team import Team

pytestmark = pytest.mark.node

MONITORING = "monitoring"
TEAM = "team-a"
TEAMS = ("with-the-least", "with-production", TEAM)


TRUST = {"extraEnv[0].name": "SSL_CERT_FILE", "extraEnv[0].value": CA_FILE}


def values(name: str) -> Path:
    """The file of a set."""
    return CHART / f"ci/{name}-values.yaml"


@contextmanager
def ready_team(release: Release, namespace: str) -> Iterator[Team]:
    """A team with a bucket and a key, which are Ready."""
    team = Team(release, namespace)
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()
    yield team
    team.remove()


# One release, whose values the tests replace: each would else begin with a rollout of its own.
@pytest.fixture(scope="module", autouse=True)
def namespaces(installed: Release) -> None:
    installed.service.control.clear_faults()
    for name in TEAMS:
        Team(installed, name).make()


def test_the_least_of_values_makes_two_replicas_that_issue_a_key(installed: Release) -> None:
    installed.install_set(values("minimal"), 2, TRUST)
    with ready_team(installed, "with-the-least"):
        pass
    budget = installed.node.get("poddisruptionbudget", HERE)["items"]
    assert [each["status"]["disruptionsAllowed"] for each in budget] == [1]


def test_a_platform_teams_values_bring_alerts_and_a_dashboard(installed: Release) -> None:
    node = installed.node
    node.kubectl("create", "namespace", MONITORING)
    for kind in ("ServiceMonitor", "PrometheusRule"):
        node.kubectl("create", "--filename=-", input=json.dumps(definition(kind)))
    crds = [f"crd/{kind}s.monitoring.coreos.com" for kind in ("servicemonitor", "prometheusrule")]
    node.kubectl("wait", "--for=condition=Established", *crds, "--timeout=60s")

    installed.install_set(values("production"), 3, TRUST)
    with ready_team(installed, "with-production"):
        pass
    kinds = "servicemonitors,prometheusrules,configmaps"
    found = node.get(kinds, f"--namespace={MONITORING}", "--selector=team=platform")["items"]
    assert sorted(each["kind"] for each in found) == [
        "ConfigMap",
        "PrometheusRule",
        "ServiceMonitor",
    ]
    (policy,) = node.get("networkpolicies", HERE)["items"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert {pod["spec"]["priorityClassName"] for pod in installed.pods()} == {
        "system-cluster-critical"
    }


def test_a_teams_own_release_trusts_a_private_authority_and_serves_its_namespace(
    installed: Release,
) -> None:
    node = installed.node
    authority = node.plane.ca_file.read_text()
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "amove-ca", "namespace": NAMESPACE},
        "data": {"ca.crt": authority},
    }
    node.kubectl("apply", "--filename=-", input=json.dumps(config))
    installed.install_set(values("team"), 2, {})
    with ready_team(installed, TEAM) as team:
        quota = node.get("resourcequota", "amove", team.here)
        assert quota["metadata"]["annotations"]["meta.helm.sh/release-name"] == NAME
    asked = ("auth", "can-i", "list", "secrets", f"--as={ACCOUNT}")
    answers = [
        node.plane.kubectl(*asked, f"--namespace={name}", check=False).stdout.strip()
        for name in (TEAM, "default")
    ]
    assert answers == ["yes", "no"]


ACCOUNT = f"system:serviceaccount:{NAMESPACE}:amove-operator"


def definition(kind: str) -> Manifest:
    """Of the Prometheus operator's kinds, as much as takes any object."""
    plural = f"{kind.lower()}s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }
