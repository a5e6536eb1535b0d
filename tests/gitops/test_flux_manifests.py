"""What Flux makes of a manifest before it applies it, and of one that says too much."""

from __future__ import annotations

from pathlib import Path

from amove_emulator import Emulator
from amove_operator.models.shared import FINALIZER
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import lives_alone, mints
from tests.gitops.client import a_consumer
from tests.gitops.repository import TOOLKIT, FluxSystem

CONFIGURATION = Path(__file__).parents[2] / "examples/gitops/flux/kustomizeconfig.yaml"
TEMPLATE = {"template": {"config": "id=${accessKey} secret=${secretKey}"}}


def test_a_name_prefix_reaches_the_references_by_the_configuration_of_the_example(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    revision = repository.commit(
        {
            "kustomizeconfig.yaml": CONFIGURATION.read_text(),
            "kustomization.yaml": {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "namePrefix": "prod-",
                "configurations": ["kustomizeconfig.yaml"],
                "resources": ["all.yaml"],
            },
            "all.yaml": [
                a_bucket("photos"),
                a_key("app", bucketRefs=refs("photos")),
                a_consumer("app"),
            ],
        }
    )

    flux.applied(flux.follow(repository, targetNamespace=cluster.namespace), revision)

    assert set(emulator.control.buckets()) == {"prod-photos"}
    assert cluster.found(KEY, "prod-app")["spec"]["bucketRefs"] == refs("prod-photos")
    (container,) = cluster.found("Deployment", "prod-app")["spec"]["template"]["spec"]["containers"]
    assert cluster.secret(container["envFrom"][0]["secretRef"]["name"])["BUCKET_NAME"]


def test_placeholders_that_flux_would_fill_are_refused_until_the_manifest_says_that_they_are_ours(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    substituting = {"substitute": {"cluster": "production"}}
    name = flux.follow(repository, targetNamespace=cluster.namespace, postBuild=substituting)
    key = a_key("app", bucketRefs=refs("photos"), secret=TEMPLATE)

    revision = repository.commit({"bucket.yaml": a_bucket("photos"), "key.yaml": key})

    message = flux.failed(name, "BuildFailed", revision)
    assert 'variable not set (strict mode): "accessKey"' in message
    assert cluster.get(KEY, "app") is None
    spared = {f"{TOOLKIT}/substitute": "disabled"}
    ours = a_key("app", bucketRefs=refs("photos"), secret=TEMPLATE, annotations=spared)
    flux.applied(name, repository.commit({"key.yaml": ours}))
    words = cluster.secret("app")["config"].split()
    assert words[0].startswith("id=")
    assert len(words[1]) > len("secret=")


def test_an_exported_manifest_with_status_and_finalizer_does_no_harm(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Somebody commits what `kubectl get -o yaml` showed, and tidies it up later."""
    run_operator()
    repository = flux.repository()
    plain = [a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))]
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    flux.applied(name, repository.commit({"all.yaml": plain}))
    exported = [_exported(cluster, BUCKET, "photos"), _exported(cluster, KEY, "app")]
    before = cluster.found(KEY, "app")

    flux.applied(name, repository.commit({"all.yaml": exported}))
    cluster.apply(a_bucket("photos", versioningEnabled=True))
    cluster.ready(BUCKET, "photos")
    flux.applied(name, repository.commit({"all.yaml": plain}))

    after = cluster.found(KEY, "app")
    assert after["metadata"]["finalizers"] == before["metadata"]["finalizers"]
    assert after["status"]["key"] == before["status"]["key"]
    assert lives_alone(emulator, after)
    assert mints(emulator) == 1


def test_a_finalizer_that_came_with_the_manifest_stays_when_the_manifest_lets_go_of_it(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """A restored export: nobody but Flux has ever put the finalizer on."""
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    plain = a_key("app", bucketRefs=refs("photos"))
    restored = plain | {"metadata": {"name": "app", "finalizers": [FINALIZER]}}
    flux.applied(name, repository.commit({"b.yaml": a_bucket("photos"), "k.yaml": restored}))

    revision = repository.commit({"k.yaml": plain})
    message = flux.failed(name, "ReconciliationFailed", revision)

    assert "keep metadata.finalizers as they are" in message
    assert cluster.found(KEY, "app")["metadata"]["finalizers"] == [FINALIZER]
    flux.applied(name, repository.commit({"k.yaml": restored}))
    assert mints(emulator) == 1


def _exported(cluster: Cluster, kind: str, name: str) -> Manifest:
    """Without what an export of any tool leaves out: who wrote it, and its version."""
    found = cluster.found(kind, name)
    for each in ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"):
        del found["metadata"][each]
    return found
