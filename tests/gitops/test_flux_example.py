"""examples/gitops/flux, applied by Flux as it is there (docs/gitops-flux.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from amove_emulator import Emulator
from flux_tools import KustomizeController
from flux_tools.controller import ACCOUNT
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, condition, eventually, refusal
from tests.cluster.harness_cluster import CHART, SYSTEM, Cluster
from tests.cluster.harness_keys import live_ids
from tests.gitops.client import a_consumer, s3_client
from tests.gitops.repository import GIT, TOOLKIT, FluxSystem

EXAMPLE = Path(__file__).parents[2] / "examples" / "gitops" / "flux"
TEAM = "photos"
ROOT = "flux-system"
# As Flux's documentation advises for clusters of several teams.
LOCKED = ("--no-cross-namespace-refs=true", "--default-service-account=default")
# helm-controller cannot be had here: the chart is installed by helm itself, and this is what runs.
STAND_IN = a_consumer("operator", replicas=1)
STAND_IN["metadata"]["namespace"] = SYSTEM


@pytest.fixture
def team(flux: FluxSystem, whole_cluster: Cluster) -> Iterator[Cluster]:
    """The namespace that the example makes."""
    yield whole_cluster.within(TEAM)
    flux.clean_up()
    flux.let_go_of(ROOT)
    flux.cluster.delete("ServiceAccount", TEAM)
    whole_cluster.within(SYSTEM).delete("Deployment", "operator")
    whole_cluster.drop_namespace(TEAM)
    # The next test makes it anew.
    whole_cluster.gone("Namespace", TEAM)


@pytest.fixture(params=[(), LOCKED], ids=["as installed", "locked"])
def restarted(request: pytest.FixtureRequest, controller: KustomizeController) -> Iterator[None]:
    """Flux with these options."""
    controller.stop()
    controller.start(*request.param)
    yield
    controller.stop()
    controller.start()


@pytest.mark.usefixtures("restarted")
def test_the_repository_brings_up_operator_storage_and_application_in_order_and_down_again(
    flux: FluxSystem, team: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(watch_namespaces=None)
    held = emulator.control.fault("create_storage_key", hold="before", times=None)
    repository = flux.repository(ROOT, GIT)
    revision = repository.commit(_files())
    own = {"serviceAccountName": ACCOUNT}
    flux.follow(repository, ROOT, path="./clusters/production", wait=False, **own)
    flux.applied(ROOT, revision)

    # The operator does not run yet: so no storage. No key yet: so no application.
    flux.waits("amove-operator", revision)
    _waits_for_another(flux, "photos-storage")
    assert team.every(BUCKET) == []
    _operator_runs(flux, revision)
    flux.waits("photos-storage", revision)
    _waits_for_another(flux, "photos-app")
    assert team.get("Deployment", "gallery") is None
    emulator.control.clear_faults(held)
    flux.applied("photos-storage", revision)
    eventually(lambda: _pods_ready(team), what="pods to call ready")
    flux.applied("photos-app", revision)
    put = s3_client(team.secret("photos-writer")).put_object
    assert refusal(put, Bucket="photos", Key="a", Body=b"b") is None

    # The team leaves Git: keys are revoked, and the bucket stays with its object.
    flux.applied(ROOT, repository.commit({"clusters/production/photos.yaml": None}))
    for name in ("photos-app", "photos-storage"):
        flux.cluster.gone("Kustomization", name)
    eventually(lambda: not team.every(KEY), what="the keys' end")
    team.gone("Deployment", "gallery")
    assert live_ids(emulator) == set()
    assert set(emulator.control.buckets()) == {"photos"}
    for kind, name in (("Namespace", TEAM), (BUCKET, "photos")):
        assert "deletionTimestamp" not in team.found(kind, name)["metadata"]
    assert condition(team.found(BUCKET, "photos"), "Ready")["status"] == "True"


def test_the_teams_account_claims_no_bucket_by_a_status_and_without_it_nothing_is_pruned(
    flux: FluxSystem, team: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(watch_namespaces=None)
    emulator.control.add_bucket("treasure")
    repository = flux.repository(ROOT, GIT)
    flux.follow(repository, ROOT, path="./clusters/production", wait=False)
    forged = {
        "apiVersion": "storage.amove.io/v1alpha1",
        "kind": "AmoveBucket",
        "metadata": {"name": "treasure"},
        "spec": {},
        "status": {"provenance": "Adopted", "bucketName": "treasure"},
    }
    stolen = _files() | {"teams/photos/storage/stolen.yaml": yaml.safe_dump(forged)}

    revision = repository.commit(stolen)
    _operator_runs(flux, revision)

    message = flux.failed("photos-storage", "HealthCheckFailed", revision)
    assert f"AmoveBucket/{TEAM}/treasure" in message
    seen = team.found(BUCKET, "treasure")
    assert condition(seen, "Stalled")["reason"] == "BucketExists"
    assert "provenance" not in seen["status"]

    # Nor does Flux delete for the team what it may not delete by the team's account.
    flux.cluster.delete("ServiceAccount", TEAM)
    flux.delete("photos-storage")
    flux.cluster.gone("Kustomization", "photos-storage")
    for name in ("photos", "treasure"):
        assert "deletionTimestamp" not in team.found(BUCKET, name)["metadata"]


def test_a_team_that_commits_a_kustomization_gets_no_more_than_its_own_namespace(
    flux: FluxSystem, team: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Without serviceAccountName Flux would apply it by its own account, a cluster-admin."""
    run_operator(watch_namespaces=None)
    repository = flux.repository(ROOT, GIT)
    flux.follow(repository, ROOT, path="./clusters/production", wait=False)
    flux.applied(ROOT, repository.commit(_files()))
    climb = {
        "apiVersion": f"{TOOLKIT}/v1",
        "kind": "Kustomization",
        "metadata": {"name": "climb"},
        "spec": {
            "interval": "1h",
            "path": "./teams/photos/climb",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": ROOT, "namespace": ROOT},
        },
    }
    elsewhere = {"name": "climbed", "namespace": "kube-system"}
    reached = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": elsewhere}

    revision = repository.commit(
        {"teams/photos/storage/climb.yaml": climb, "teams/photos/climb/reached.yaml": reached}
    )
    _operator_runs(flux, revision)

    message = flux.failed("photos-storage", "ReconciliationFailed", revision)
    assert 'cannot patch resource "kustomizations"' in message
    assert team.every("Kustomization") == []
    assert team.within("kube-system").get("ConfigMap", "climbed") is None


def test_the_release_has_values_that_the_chart_takes(
    whole_cluster: Cluster, tmp_path: Path
) -> None:
    text = (EXAMPLE / "operator/release.yaml").read_text()
    documents = yaml.safe_load_all(text)
    (release,) = [each for each in documents if each["kind"] == "HelmRelease"]
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(release["spec"]["values"]))
    assert (CHART.parents[2] / release["spec"]["chart"]["spec"]["chart"]).resolve() == CHART
    assert release["metadata"]["namespace"] == SYSTEM

    made = whole_cluster.plane.helm("template", "amove-operator", str(CHART), f"--values={values}")

    assert "registry.example.org/amove-operator" in made.stdout
    # The Secret that the page, and the comment above the release, have one make by hand.
    assert "secretName: amove-credentials\n" in made.stdout
    assert "secret generic amove-credentials -n amove-system" in text


def _files() -> dict[str, str]:
    """The example, with what the tests have in place of helm-controller."""
    found = {
        str(path.relative_to(EXAMPLE)): path.read_text()
        for path in sorted(EXAMPLE.rglob("*.yaml"))
        if path.parent.name != "operator"
    }
    return found | {"operator/stand-in.yaml": yaml.safe_dump(STAND_IN)}


def _waits_for_another(flux: FluxSystem, name: str) -> None:
    def reason() -> bool:
        seen = flux.cluster.found("Kustomization", name)
        return condition(seen, "Ready").get("reason") == "DependencyNotReady"

    eventually(reason, what=f"{name} waits for what it depends on")


def _operator_runs(flux: FluxSystem, revision: str) -> None:
    system = flux.cluster.within(SYSTEM)
    eventually(lambda: _pods_ready(system), what="the operator's pods to call ready")
    flux.applied("amove-operator", revision)


def _pods_ready(team: Cluster) -> bool:
    """What a kubelet would say: no node is here."""
    ready = {"type": "Ready", "status": "True"}
    pods = team.every("Pod")
    for pod in pods:
        status = {"phase": "Running", "conditions": [ready]}
        team.patch("Pod", pod["metadata"]["name"], {"status": status}, "status")
    return bool(pods)
