"""docs/gitops-flux.md, "At night": what a person sees and types when something is stuck."""

from __future__ import annotations

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, condition, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_ids
from tests.gitops.client import s3_client
from tests.gitops.repository import TOOLKIT, Files, FluxSystem, Repository

ONCALL = "--field-manager=oncall"


def _storage(flux: FluxSystem, cluster: Cluster, name: str, repository: Repository) -> Manifest:
    """A Kustomization as the example's parent has it in Git: ``storage/``, for a namespace."""
    source = {"kind": repository.kind, "name": repository.name}
    return {
        "apiVersion": f"{TOOLKIT}/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": flux.cluster.namespace},
        "spec": {
            "interval": "1h",
            "retryInterval": "2s",
            "path": "./storage",
            "prune": True,
            "wait": True,
            "sourceRef": source,
            "targetNamespace": cluster.namespace,
        },
    }


def test_what_kubectl_sets_goes_with_fluxs_next_look_and_what_another_manager_sets_stays(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    child = f"{repository.name}-storage"
    files: Files = {
        "all/child.yaml": _storage(flux, cluster, child, repository),
        "storage/all.yaml": [a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))],
    }
    flux.let_go_later(child)
    name = flux.follow(repository, path="./all")
    flux.applied(name, repository.commit(files))
    kubectl, system = cluster.plane.kubectl, f"--namespace={flux.cluster.namespace}"
    suspend = ("patch", "kustomization", child, system, "--type=merge", "-p")
    stop = '{"spec":{"suspend":true}}'

    kubectl(*suspend, stop)
    flux.again(name)
    assert "suspend" not in flux.cluster.found("Kustomization", child)["spec"]
    kubectl(*suspend, stop, ONCALL)
    flux.again(name)
    assert flux.cluster.found("Kustomization", child)["spec"]["suspend"] is True
    kubectl(*suspend, '{"spec":{"suspend":null}}', ONCALL)

    where = f"--namespace={cluster.namespace}"
    grace = ("patch", "akey/app", where, "--type=merge", "-p")
    text = '{"spec":{"rotation":{"gracePeriod":"0s"}}}'
    pause = ("annotate", "abkt/photos", where, "storage.amove.io/paused=true")
    kubectl(*grace, text)
    kubectl(*pause)
    flux.again(child)
    assert cluster.found(KEY, "app")["spec"].get("rotation", {}) == {}
    assert "annotations" not in cluster.found(BUCKET, "photos")["metadata"]
    kubectl(*grace, text, ONCALL)
    kubectl(*pause, ONCALL)
    flux.again(child)
    assert cluster.found(KEY, "app")["spec"]["rotation"]["gracePeriod"] == "0s"
    cluster.until(BUCKET, "photos", "Synced", "Paused", status="False")


def test_a_bucket_that_keeps_a_prune_from_its_end_says_why_and_is_released_by_hand(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    note: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "readme"}}
    storage = [
        a_bucket("photos", deletionPolicy="Delete"),
        a_key("app", bucketRefs=refs("photos")),
    ]
    flux.applied(name, repository.commit({"note.yaml": note, "all.yaml": storage}))
    s3_client(cluster.secret("app")).put_object(Bucket="photos", Key="a", Body=b"b")

    flux.applied(name, repository.commit({"all.yaml": None}))

    cluster.until(BUCKET, "photos", "Stalled", "BucketNotEmpty")
    shown = cluster.plane.kubectl("get", "amove", f"--namespace={cluster.namespace}").stdout
    assert "BucketNotEmpty" in shown
    cluster.plane.kubectl(
        "patch",
        "abkt/photos",
        f"--namespace={cluster.namespace}",
        "--type=merge",
        "-p",
        '{"spec":{"deletionPolicy":"Retain"}}',
    )
    cluster.gone(BUCKET, "photos")
    assert set(emulator.control.buckets()) == {"photos"}
    assert live_ids(emulator) == set()


def test_a_change_during_an_outage_is_in_progress_and_flux_says_so_at_its_timeout(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace, timeout="10s")
    flux.applied(name, repository.commit({"all.yaml": a_bucket("photos")}))
    emulator.control.fault("*", status=503, times=None)

    revision = repository.commit({"all.yaml": a_bucket("photos", versioningEnabled=True)})

    message = flux.failed(name, "HealthCheckFailed", revision)
    assert f"AmoveBucket/{cluster.namespace}/photos status: 'InProgress'" in message
    seen = cluster.found(BUCKET, "photos")
    assert condition(seen, "Ready")["status"] == "True"
    assert condition(seen, "Reconciling")["status"] == "True"
    assert condition(seen, "Synced")["reason"] == "ApiUnavailable"
    shown = cluster.plane.kubectl(
        "get", "kustomization", name, f"--namespace={flux.cluster.namespace}"
    ).stdout
    assert "timeout waiting for" in shown
    emulator.control.clear_faults()
    flux.applied(name, revision)
