"""What of the chart comes only when it is asked for, as rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from amove_operator.models import AmoveBucket, AmoveStorageKey
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Manifest, Rendered

Render = Callable[..., Rendered]

ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())


def values(name: str) -> Manifest:
    """One of the sets of values that the README names."""
    found: Manifest = yaml.safe_load((CHART / f"ci/{name}-values.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def production(render: Render) -> Rendered:
    return render(**values("production"))


def matched(rendered: Rendered) -> Manifest:
    found: Manifest = rendered.one("Deployment")["spec"]["selector"]["matchLabels"]
    return found


def test_by_default_two_replicas_prefer_different_nodes_and_one_stays_through_a_drain(
    render: Render,
) -> None:
    rendered = render()
    assert rendered.one("Deployment")["spec"]["replicas"] == 2
    (preferred,) = rendered.pod["affinity"]["podAntiAffinity"].values()
    assert preferred[0]["podAffinityTerm"]["labelSelector"]["matchLabels"] == matched(rendered)
    budget = rendered.one("PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 1
    assert budget["selector"]["matchLabels"] == matched(rendered)


def test_a_single_replica_blocks_no_drain(render: Render) -> None:
    assert render(replicas=1).all("PodDisruptionBudget") == []
    assert render(podDisruptionBudget={"enabled": False}).all("PodDisruptionBudget") == []


def test_what_needs_more_than_kubernetes_comes_only_when_asked_for(render: Render) -> None:
    kinds = {each["kind"] for each in render().manifests}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy"}


def test_nothing_is_let_in_but_scrapes_and_probes(production: Rendered) -> None:
    policy = production.one("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == matched(production)
    assert policy["policyTypes"] == ["Ingress"]
    metrics, health = policy["ingress"]
    assert metrics["ports"] == [{"port": "metrics"}]
    assert metrics["from"] == values("production")["networkPolicy"]["metricsFrom"]
    assert health == {"ports": [{"port": "health"}]}
    named = {port["name"] for port in production.container["ports"]}
    assert named == {"metrics", "health"}


def test_without_names_everybody_may_scrape(render: Render) -> None:
    policy = render(networkPolicy={"enabled": True}).one("NetworkPolicy")["spec"]
    assert policy["ingress"][0] == {"ports": [{"port": "metrics"}]}


def test_the_service_monitor_finds_the_release_from_another_namespace(
    production: Rendered,
) -> None:
    monitor = production.one("ServiceMonitor")
    service = production.one("Service", f"{RELEASE}-metrics")
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    spec = monitor["spec"]
    assert spec["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = spec["endpoints"]
    given = values("production")["metrics"]["serviceMonitor"]
    same = ("scrapeTimeout", "relabelings", "metricRelabelings")
    assert {name: endpoint[name] for name in same} == {name: given[name] for name in same}
    assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_the_rule_is_the_file_of_alerts_with_runbooks_at_the_address(production: Rendered) -> None:
    rule = production.one("PrometheusRule")
    assert (rule["metadata"]["namespace"], rule["metadata"]["labels"]["release"]) == (
        "monitoring",
        "prometheus",
    )
    expected = json.loads(json.dumps(ALERTS))
    for group in expected["groups"]:
        for alert in group["rules"]:
            page = alert["annotations"]["runbook_url"].removeprefix("docs/runbooks/")
            address = f"https://wiki.example.com/amove/runbooks/{page}"
            alert["annotations"]["runbook_url"] = address
    assert rule["spec"] == expected


def test_without_an_address_the_rule_is_the_file_of_alerts(render: Render) -> None:
    rule = render(metrics={"prometheusRule": {"enabled": True}}).one("PrometheusRule")
    assert rule["spec"] == ALERTS
    assert rule["metadata"]["namespace"] == NAMESPACE


def test_the_dashboard_is_where_the_sidecar_of_grafana_finds_it(production: Rendered) -> None:
    config = production.one("ConfigMap", f"{RELEASE}-dashboard")
    assert config["metadata"]["namespace"] == "monitoring"
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["metadata"]["annotations"] == {"grafana_folder": "Storage"}
    file = (CHART / "files/dashboard.json").read_text()
    assert config["data"] == {"amove-operator.json": file}


def test_common_labels_are_on_all_but_what_outlives_the_release(render: Render) -> None:
    common = {"team": "platform", "app.kubernetes.io/name": "not-this"}
    rendered = render(**{**values("production"), "commonLabels": common})
    kept = ("CustomResourceDefinition", "ValidatingAdmissionPolicy")
    for each in rendered.manifests:
        labels = each["metadata"].get("labels", {})
        assert ("team" in labels) is not each["kind"].startswith(kept), each["metadata"]["name"]
        assert "not-this" not in labels.values()
    pod = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert pod["team"] == "platform"
    assert "team" not in matched(rendered), "a selector can never be changed"


def test_a_private_authority_reaches_the_operator_and_its_doctor(render: Render) -> None:
    rendered = render(**values("team"))
    (doctor,) = (pod for pod in rendered.all("Pod"))
    for spec in (rendered.pod, doctor["spec"]):
        (container,) = spec["containers"]
        (file,) = (e["value"] for e in container["env"] if e["name"] == "SSL_CERT_FILE")
        (mount,) = (m for m in container["volumeMounts"] if file.startswith(m["mountPath"] + "/"))
        (volume,) = (v for v in spec["volumes"] if v["name"] == mount["name"])
        assert volume["configMap"] == {"name": "amove-ca"}
        assert len(spec["volumes"]) == 2, "and the credentials"


def test_further_objects_are_maps_or_templates(render: Render) -> None:
    text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Release.Name }}-more"}\n'
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}}
    rendered = render(extraObjects=[made, text])
    names = [each["metadata"]["name"] for each in rendered.all("ConfigMap")]
    assert names == ["plain", f"{RELEASE}-more"]


def test_a_spread_without_a_selector_is_about_the_operators_own_pods(render: Render) -> None:
    rule: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
    }
    own = {**rule, "labelSelector": {"matchLabels": {"a": "b"}}}
    rendered = render(topologySpreadConstraints=[rule, own])
    ours = {**rule, "labelSelector": {"matchLabels": matched(rendered)}}
    assert rendered.pod["topologySpreadConstraints"] == [ours, own]


def test_times_of_probes_and_of_the_end_can_be_chosen(render: Render) -> None:
    rendered = render(
        livenessProbe={"timeoutSeconds": 20},
        readinessProbe={"failureThreshold": 9},
        terminationGracePeriodSeconds=300,
    )
    live, ready = (rendered.container[f"{name}Probe"] for name in ("liveness", "readiness"))
    assert (live["timeoutSeconds"], live["periodSeconds"]) == (20, 10)
    assert (ready["failureThreshold"], ready["periodSeconds"]) == (9, 5)
    assert rendered.pod["terminationGracePeriodSeconds"] == 300


def test_labels_annotations_and_places_reach_the_pod(render: Render) -> None:
    rendered = render(
        deploymentAnnotations={"owner": "storage"},
        podLabels={"team": "storage", "app.kubernetes.io/name": "not-this"},
        podAnnotations={"seen": "yes"},
        extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        priorityClassName="system-cluster-critical",
        nodeSelector={"disk": "none"},
    )
    deployment = rendered.one("Deployment")
    metadata = deployment["spec"]["template"]["metadata"]
    assert deployment["metadata"]["annotations"] == {"owner": "storage"}
    assert metadata["annotations"] == {"seen": "yes"}
    assert metadata["labels"]["team"] == "storage"
    assert matched(rendered).items() <= metadata["labels"].items()
    assert rendered.environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert rendered.pod["priorityClassName"] == "system-cluster-critical"
    assert rendered.pod["nodeSelector"] == {"disk": "none"}


def test_controllers_of_service_bindings_may_read_keys_and_no_more(render: Render) -> None:
    role = render().one("ClusterRole", f"{RELEASE}-service-binding")
    assert role["metadata"]["labels"]["servicebinding.io/controller"] == "true"
    assert role["rules"] == [
        {
            "apiGroups": ["storage.amove.io"],
            "resources": ["amovestoragekeys"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    left_out = render(userRoles={"serviceBinding": False}).all("ClusterRole")
    assert not any("service-binding" in each["metadata"]["name"] for each in left_out)


def test_a_catalogue_shows_the_kinds_as_they_are_and_examples_that_are_right() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert all(chart[name] for name in ("home", "sources", "maintainers", "icon"))
    shown = yaml.safe_load(chart["annotations"]["artifacthub.io/crds"])
    files = sorted((CHART / "files/crds").glob("storage*.yaml"))
    crds = [yaml.safe_load(path.read_text()) for path in files]
    assert [(each["name"], each["kind"], each["version"]) for each in shown] == [
        (crd["metadata"]["name"], crd["spec"]["names"]["kind"], version["name"])
        for crd in crds
        for version in crd["spec"]["versions"]
    ]
    examples = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
    models: tuple[type[BaseModel], ...] = (AmoveBucket, AmoveStorageKey)
    for model, example in zip(models, examples, strict=True):
        stored = {**example["metadata"], "namespace": "any", "uid": "any", "resourceVersion": "1"}
        assert example["kind"] == model.__name__
        model.model_validate({**example, "metadata": stored})
