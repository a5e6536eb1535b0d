"""The chart as rendered: what it refuses, and what it would send to a cluster."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_operator import __version__
from amove_operator.models.crds import crd_files
from amove_operator.models.fence import FENCE, fence
from amove_operator.settings import Settings, load_settings, variable
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, REQUIRED, Manifest, Rendered

Render = Callable[..., Rendered]
Run = Callable[..., subprocess.CompletedProcess[str]]

CRDS = CHART.parents[1] / "crds"
KINDS = {"amovebuckets", "amovestoragekeys"}
# What every setting can be set to, and the text that the operator must then see.
SETTINGS: dict[str, tuple[Any, str]] = {
    "apiUrl": ("https://api.example.com", "https://api.example.com"),
    "authUrl": ("https://auth.example.com", "https://auth.example.com"),
    "cloudAccountId": ("0b9f7b0e-9d51-4c0e-8f6f-0f6f3c1f2a10",) * 2,
    "storageDn": ("s3.example.com", "s3.example.com"),
    "region": ("eu-west-1", "eu-west-1"),
    "watchNamespaces": (["team-a", "team-b"], "team-a,team-b"),
    "trustedNamespaces": (["team-*", "infra"], "team-*,infra"),
    "resyncInterval": ("5m", "5m"),
    "rateLimit": (2.5, "2.5"),
    "concurrency": (4, "4"),
    "mintBudget": (2, "2"),
    "minRotationInterval": ("2h", "2h"),
    "maxGrace": ("24h", "24h"),
    "listingSettle": ("45s", "45s"),
    "leaderElection": (False, "false"),
    "leaseNamespace": ("leases", "leases"),
    "leaseName": ("mine", "mine"),
    "requireFence": (False, "false"),
    "metricsPort": (9191, "9191"),
    "healthPort": (8181, "8181"),
    "logFormat": ("console", "console"),
    "logLevel": ("DEBUG", "DEBUG"),
}


def test_the_charts_crds_are_copies_of_those_in_deploy() -> None:
    def texts(folder: Path) -> dict[str, str]:
        return {path.name: path.read_text() for path in folder.glob("*.yaml")}

    assert texts(CRDS) == crd_files()
    assert texts(CHART / "files/crds") == texts(CRDS), "run: make crds"


def test_the_crds_are_installed_as_they_are_and_kept_at_uninstall(render: Render) -> None:
    installed = render().all("CustomResourceDefinition")
    for crd in installed:
        assert crd["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
        if not crd["metadata"]["annotations"]:
            del crd["metadata"]["annotations"]
    written = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("storage*.yaml"))]
    assert sorted(installed, key=lambda crd: crd["metadata"]["name"]) == written


def test_the_crds_can_be_left_out(render: Render) -> None:
    assert render(crds={"install": False}).all("CustomResourceDefinition") == []


def test_every_setting_of_the_operator_is_a_value_of_the_chart() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["settings"]
    offered = {
        "AMOVE_" + re.sub("([A-Z])", r"_\1", name).upper()
        for name in schema["properties"]["settings"]["properties"]
    }
    login = {"token_file", "username_file", "password_file", "login_type"}
    assert offered == {variable(field) for field in Settings.model_fields if field not in login}
    assert set(defaults) == set(schema["properties"]["settings"]["properties"]) == set(SETTINGS)


def test_every_value_reaches_the_operator_in_words_that_it_understands(render: Render) -> None:
    rendered = render(settings={name: value for name, (value, _) in SETTINGS.items()}, replicas=1)
    environment = rendered.environment
    expected = {
        "AMOVE_" + re.sub("([A-Z])", r"_\1", name).upper(): text
        for name, (_, text) in SETTINGS.items()
    }
    assert expected.items() <= environment.items()
    assert load_settings(environment).lease_namespace == "leases"


def test_empty_settings_leave_the_operators_own_defaults(render: Render) -> None:
    assert render().environment == {
        "DEPLOYMENT_NAME": RELEASE,
        "AMOVE_TOKEN_FILE": "/var/run/secrets/amove/token",
        "AMOVE_LEASE_NAME": RELEASE,
        "AMOVE_HEALTH_PORT": "8080",
        "AMOVE_METRICS_PORT": "9090",
    }


def test_the_token_is_mounted_as_a_file_that_the_operator_may_read(render: Render) -> None:
    rendered = render(credentials={"existingSecret": "mine", "tokenKey": "api-token"})
    (volume,) = rendered.pod["volumes"]
    assert volume["secret"] == {
        "secretName": "mine",
        "defaultMode": 0o444,
        "items": [{"key": "api-token", "path": "token"}],
    }
    (mount,) = rendered.container["volumeMounts"]
    assert rendered.environment["AMOVE_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert mount["readOnly"]


def test_a_login_takes_the_place_of_the_token(render: Render) -> None:
    rendered = render(credentials={"existingSecret": "mine", "login": {"type": 8}})
    (volume,) = rendered.pod["volumes"]
    assert [item["path"] for item in volume["secret"]["items"]] == ["username", "password"]
    assert "AMOVE_TOKEN_FILE" not in rendered.environment
    assert load_settings(rendered.environment).login_type == 8


@pytest.mark.parametrize("login", [{}, {"type": 4}], ids=["token", "login"])
def test_the_pod_of_helm_test_sees_what_the_operator_sees(render: Render, login: Manifest) -> None:
    values = {"credentials": {"existingSecret": "mine", "login": login}}
    rendered = render(**values, settings={"watchNamespaces": ["a"]})
    pod = rendered.one("Pod", f"{RELEASE}-doctor")
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["doctor"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    own = {"DEPLOYMENT_NAME": RELEASE}
    assert given | own == rendered.environment
    for same in ("serviceAccountName", "securityContext", "volumes", "enableServiceLinks"):
        assert pod["spec"][same] == rendered.pod[same]
    for same in ("image", "securityContext", "volumeMounts"):
        assert container[same] == rendered.container[same]
    selected = rendered.one("Deployment")["spec"]["selector"]["matchLabels"].items()
    assert not selected <= pod["metadata"]["labels"].items(), "no Service leads to it"


def test_the_pod_has_no_rights_on_its_node(render: Render) -> None:
    rendered = render()
    assert rendered.pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert rendered.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_no_service_of_the_namespace_gets_into_the_environment(render: Render) -> None:
    """Of one named ``amove-metrics``, AMOVE_METRICS_PORT would be a URL."""
    assert render().pod["enableServiceLinks"] is False


def test_the_pod_knows_its_name_and_namespace(render: Render) -> None:
    paths = {
        e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"]
        for e in render().container["env"]
        if "valueFrom" in e
    }
    assert paths == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_probes_and_metrics_follow_the_ports_of_the_settings(render: Render) -> None:
    rendered = render(settings={"healthPort": 8181, "metricsPort": 9191})
    container = rendered.container
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": 8181, "metrics": 9191}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    (port,) = rendered.one("Service", f"{RELEASE}-metrics")["spec"]["ports"]
    assert port == {"name": "metrics", "port": 9090, "targetPort": "metrics"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": "here/op"}, f"here/op:{__version__}"),
        ({"repository": "here/op", "tag": "edge"}, "here/op:edge"),
        (
            {"repository": "here/op", "tag": "edge", "digest": f"sha256:{'0' * 64}"},
            f"here/op@sha256:{'0' * 64}",
        ),
    ],
)
def test_a_digest_wins_over_a_tag(render: Render, image: Manifest, expected: str) -> None:
    assert render(image=image).container["image"] == expected


@pytest.mark.parametrize(
    ("elects", "strategy"), [(None, "RollingUpdate"), (True, "RollingUpdate"), (False, "Recreate")]
)
def test_two_operators_never_overlap_without_leader_election(
    render: Render, elects: bool | None, strategy: str
) -> None:
    deployment = render(settings={"leaderElection": elects}, replicas=1).one("Deployment")
    assert deployment["spec"]["strategy"] == {"type": strategy}


def test_no_role_has_a_wildcard(render: Render) -> None:
    rendered = render()
    roles = rendered.all("ClusterRole") + rendered.all("Role")
    assert len(roles) == 7
    assert all("*" not in values for rule in rules_of(*roles) for values in rule.values())


def test_roles_for_people_do_not_reach_the_status(render: Render) -> None:
    for name in ("view", "edit"):
        role = render().one("ClusterRole", f"{RELEASE}-{name}")
        assert {r for rule in role["rules"] for r in rule["resources"]} == KINDS
        assert f"rbac.authorization.k8s.io/aggregate-to-{name}" in role["metadata"]["labels"]


def test_the_edit_role_says_that_it_amounts_to_writing_secrets(render: Render) -> None:
    annotations = render().one("ClusterRole", f"{RELEASE}-edit")["metadata"]["annotations"]
    told = annotations["kubernetes.io/description"]
    assert "can write Secrets of free content under free names in that namespace" in told


@pytest.mark.parametrize("name", ["View", "Edit"])
def test_each_role_for_people_can_stay_apart_from_the_clusters_own(
    render: Render, name: str
) -> None:
    rendered = render(userRoles={f"aggregateTo{name}": False})
    for role in rendered.all("ClusterRole"):
        apart = not role["metadata"]["name"].endswith(("-view", "-edit"))
        apart = apart or role["metadata"]["name"].endswith(f"-{name.lower()}")
        assert any("aggregate" in label for label in role["metadata"]["labels"]) is not apart


def test_watched_namespaces_get_roles_of_their_own_and_the_cluster_what_lets_go(
    render: Render,
) -> None:
    rendered = render(settings={"watchNamespaces": ["team-a", "team-b"]})
    whole = render().one("ClusterRole")
    cluster = rendered.one("ClusterRole")
    reached = {
        resource: rule["verbs"] for rule in cluster["rules"] for resource in rule["resources"]
    }
    lets_go = ["get", "patch"]
    assert reached == {
        "namespaces": ["get"],
        "amovebuckets": lets_go,
        "amovestoragekeys": lets_go,
        "validatingadmissionpolicies": ["get"],
        "validatingadmissionpolicybindings": ["get"],
        **{f"{kind}/status": ["attest"] for kind in KINDS},
    }
    assert cluster["rules"][0]["resourceNames"] == ["kube-system", "team-a", "team-b"]
    for namespace in ("team-a", "team-b"):
        role = rendered.one("Role", namespace=namespace)
        assert role["rules"] == whole["rules"][-len(role["rules"]) :]
        binding = rendered.one("RoleBinding", namespace=namespace)
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}
        ]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, RELEASE),
        ({"fullnameOverride": "blue"}, "blue"),
        ({"settings": {"leaseName": "mine"}}, "mine"),
    ],
)
def test_the_lease_is_the_releases_own_and_its_role_follows_it(
    render: Render, values: Manifest, name: str
) -> None:
    settings = {**values.get("settings", {}), "leaseNamespace": "leases"}
    rendered = render(**{**values, "settings": settings})
    (deployment,) = rendered.all("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "AMOVE_LEASE_NAME", "value": name} in container["env"]
    role = rendered.one("Role", f"{values.get('fullnameOverride', RELEASE)}-lease")
    assert role["metadata"]["namespace"] == "leases"
    (by_name,) = (rule for rule in role["rules"] if "resourceNames" in rule)
    assert by_name["resourceNames"] == [name]


def test_an_existing_service_account_is_used_everywhere(render: Render) -> None:
    rendered = render(serviceAccount={"create": False, "name": "mine"})
    assert rendered.all("ServiceAccount") == []
    assert rendered.pod["serviceAccountName"] == "mine"
    mine = [{"kind": "ServiceAccount", "name": "mine", "namespace": NAMESPACE}]
    assert all(binding["subjects"] == mine for binding in rendered.all("RoleBinding"))


def test_one_fence_is_installed_with_the_definitions_whatever_the_release(render: Render) -> None:
    for values in ({}, {"fullnameOverride": "mine", "settings": {"watchNamespaces": ["team-a"]}}):
        rendered = render(**values)
        for wanted in fence():
            found = rendered.one(wanted["kind"], FENCE)
            assert found["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
            assert found == wanted
    kinds = {wanted["kind"] for wanted in fence()}
    assert not kinds & {each["kind"] for each in render(crds={"install": False}).manifests}


@pytest.mark.parametrize("watched", [[], ["team-a", "team-b"]])
@pytest.mark.parametrize(
    ("role", "resources"),
    [
        (RELEASE, ["amovebuckets/status", "amovestoragekeys/status"]),
        (f"{RELEASE}-adopter", ["amovebuckets/status"]),
    ],
)
def test_the_right_to_attest_is_for_the_namespaces_that_the_release_serves(
    render: Render, role: str, resources: list[str], watched: list[str]
) -> None:
    rules = render(settings={"watchNamespaces": watched}).one("ClusterRole", role)["rules"]
    (rule,) = (each for each in rules if "attest" in each["verbs"])
    names = {"resourceNames": watched} if watched else {}
    wanted = {"apiGroups": ["storage.amove.io"], "resources": resources, "verbs": ["attest"]}
    assert rule == wanted | names


@pytest.mark.parametrize("installed", [True, False])
def test_who_leaves_the_fence_to_others_is_told_where_there_is_none(
    helm: Run, *, installed: bool
) -> None:
    values = {**REQUIRED, "crds": {"install": installed}}
    done = helm("install", "x", str(CHART), "--dry-run=client", "--values=-", values=values)
    assert done.returncode == 0, done.stderr
    _, notes = done.stdout.split("NOTES:")
    assert ("The fence amove-fence is not there" in notes) is not installed


def test_nobody_is_bound_to_the_adopters_role_and_no_role_adds_it_up(render: Render) -> None:
    rendered = render()
    role = rendered.one("ClusterRole", f"{RELEASE}-adopter")
    assert not any("aggregate" in label for label in role["metadata"]["labels"])
    bindings = rendered.all("ClusterRoleBinding") + rendered.all("RoleBinding")
    assert all(each["roleRef"]["name"] != role["metadata"]["name"] for each in bindings)


def test_replicas_prefer_different_nodes_unless_affinity_is_given(render: Render) -> None:
    chosen: Manifest = {"nodeAffinity": {}}
    (preferred,) = render(replicas=2).pod["affinity"]["podAntiAffinity"].values()
    assert preferred[0]["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert "affinity" not in render(replicas=1).pod
    assert render(replicas=2, affinity=chosen).pod["affinity"] == chosen


def rules_of(*roles: Manifest) -> list[Manifest]:
    return [rule for role in roles for rule in role["rules"]]
