"""Flux applies, waits, reports and prunes (docs/gitops-flux.md)."""

from __future__ import annotations

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, condition, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_ids, lives_alone, mints
from tests.gitops.client import a_consumer
from tests.gitops.repository import NOTE, TOOLKIT, Files, FluxSystem

FLUX = "kustomize-controller"


def test_flux_is_ready_when_bucket_key_and_consumer_are_and_applies_them_again_without_a_change(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    emulator.control.fault("create_bucket", delay_before=2.0)
    repository = flux.repository()
    revision = repository.commit(
        {
            "bucket.yaml": a_bucket("photos"),
            "key.yaml": a_key("app", bucketRefs=refs("photos")),
            "app.yaml": a_consumer("app"),
        }
    )
    name = flux.follow(repository, targetNamespace=cluster.namespace)

    flux.applied(name, revision)

    # Not a moment earlier than the objects are what they are to be.
    assert condition(cluster.found(BUCKET, "photos"), "Ready")["status"] == "True"
    assert lives_alone(emulator, cluster.found(KEY, "app"))
    before = _stored(cluster)
    for _ in range(3):
        flux.again(name)
    flux.applied(name, revision)
    assert _stored(cluster) == before
    assert mints(emulator) == 1


def test_flux_and_the_operator_own_different_fields(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    bucket = a_bucket("photos", deletionPolicy="Retain")
    files: Files = {"all.yaml": [bucket, a_key("app", bucketRefs=refs("photos"))]}
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    flux.applied(name, repository.commit(files))
    for kind, thing in ((BUCKET, "photos"), (KEY, "app")):
        owned = {
            each["manager"]: each["fieldsV1"]
            for each in cluster.found(kind, thing)["metadata"]["managedFields"]
            if each.get("subresource") != "status"
        }
        assert "f:spec" in owned[FLUX]
        assert "f:finalizers" not in owned[FLUX]["f:metadata"]
        (ours,) = owned.keys() - {FLUX}
        assert set(owned[ours]) == {"f:metadata"}
        assert set(owned[ours]["f:metadata"]) <= {"f:finalizers"}
    assert FLUX not in str(cluster.found("Secret", "app")["metadata"]["managedFields"])

    # Somebody edits the spec by hand: Flux puts Git's word back, and what Git leaves open stays.
    by_hand = {"spec": {"deletionPolicy": "Delete", "versioningEnabled": True}}
    cluster.patch(BUCKET, "photos", by_hand)
    flux.again(name)
    spec = cluster.ready(BUCKET, "photos")["spec"]
    assert (spec["deletionPolicy"], spec["versioningEnabled"]) == ("Retain", True)
    for kind, thing in ((BUCKET, "photos"), (KEY, "app")):
        assert cluster.found(kind, thing)["metadata"]["finalizers"]
    assert mints(emulator) == 1


def test_flux_fails_at_once_with_the_name_of_what_stalls_and_recovers_by_the_next_commit(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    revision = repository.commit(
        {
            "bucket.yaml": a_bucket("photos", public=True),
            "key.yaml": a_key("app", bucketRefs=refs("photos")),
        }
    )
    name = flux.follow(repository, targetNamespace=cluster.namespace)

    message = flux.failed(name, "HealthCheckFailed", revision)

    assert f"AmoveBucket/{cluster.namespace}/photos" in message
    assert "failed early due to stalled resources" in message
    stalled = condition(cluster.found(BUCKET, "photos"), "Stalled")
    assert stalled["reason"] == "NotPermitted"
    flux.applied(name, repository.commit({"bucket.yaml": a_bucket("photos")}))
    assert cluster.found(KEY, "app")["status"]["key"]["id"] in live_ids(emulator)


def test_flux_prunes_bucket_key_and_consumer_in_any_order_and_spares_what_says_so(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    spared = a_bucket("spared", annotations={f"{TOOLKIT}/prune": "disabled"})
    revision = repository.commit(
        {
            "note.yaml": NOTE,
            "all.yaml": [
                a_bucket("photos", deletionPolicy="Delete"),
                a_key("app", bucketRefs=refs("photos")),
                a_bucket("kept"),
                spared,
                a_consumer("app"),
            ],
        }
    )
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    flux.applied(name, revision)

    flux.applied(name, repository.commit({"all.yaml": None}))

    for kind, thing in ((KEY, "app"), (BUCKET, "photos"), (BUCKET, "kept")):
        cluster.gone(kind, thing)
    cluster.gone("Secret", "app")
    cluster.gone("Deployment", "app")
    assert live_ids(emulator) == set()
    # Deleted is only what said so: the default keeps a bucket, and Flux kept the object itself.
    assert set(emulator.control.buckets()) == {"kept", "spared"}
    assert condition(cluster.found(BUCKET, "spared"), "Ready")["status"] == "True"


def test_deleting_the_kustomization_deletes_what_it_applied_and_waits_for_the_end(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    revision = repository.commit(
        {"all.yaml": [a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))]}
    )
    name = flux.follow(
        repository, targetNamespace=cluster.namespace, deletionPolicy="WaitForTermination"
    )
    flux.applied(name, revision)

    flux.delete(name)

    flux.cluster.gone("Kustomization", name)
    assert cluster.get(KEY, "app") is None
    assert cluster.get(BUCKET, "photos") is None
    assert live_ids(emulator) == set()
    assert set(emulator.control.buckets()) == {"photos"}


def _stored(cluster: Cluster) -> dict[str, tuple[str, list[str]]]:
    """Version and finalizers of all that the repository and the operator have made."""
    found: list[Manifest] = [
        cluster.found(BUCKET, "photos"),
        cluster.found(KEY, "app"),
        cluster.found("Secret", "app"),
        cluster.found("Deployment", "app"),
    ]
    return {
        f"{number} {each['metadata']['name']}": (
            each["metadata"]["resourceVersion"],
            each["metadata"].get("finalizers", []),
        )
        for number, each in enumerate(found)
    }
