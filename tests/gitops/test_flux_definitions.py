"""The definitions and the fence in Git: a slip with them deletes no object of any team."""

from __future__ import annotations

import json

from amove_emulator import Emulator
from amove_operator.models.crds import crd_files
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import KEY, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import lives_alone, mints
from tests.gitops.repository import FluxSystem

KEPT = (
    "crd/amovebuckets.storage.amove.io",
    "crd/amovestoragekeys.storage.amove.io",
    "validatingadmissionpolicy/amove-fence",
    "validatingadmissionpolicybinding/amove-fence",
)


def test_flux_prunes_neither_definitions_nor_fence_and_so_no_object_of_any_team(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The folder goes from Git, then the Kustomization goes: each would take all objects along."""
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository)
    flux.applied(name, repository.commit({**crd_files(), "other.yaml": _other("kept")}))
    cluster.apply(
        a_bucket("photos", deletionPolicy="Delete"), a_key("app", bucketRefs=refs("photos"))
    )
    cluster.ready(KEY, "app")
    before = _identities(cluster)

    flux.applied(
        name, repository.commit({**dict.fromkeys(crd_files()), "other.yaml": _other("new")})
    )
    assert flux.cluster.get("ConfigMap", "kept") is None
    assert _identities(cluster) == before
    flux.applied(name, repository.commit(crd_files()))
    flux.delete(name)
    flux.cluster.gone("ConfigMap", "new")
    flux.cluster.gone("Kustomization", name)

    assert _identities(cluster) == before
    assert lives_alone(emulator, cluster.ready(KEY, "app"))
    assert mints(emulator) == 1


def _other(name: str) -> dict[str, object]:
    """What goes as usual, so that it shows that Flux has pruned."""
    metadata = {"name": name, "namespace": "flux-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _identities(cluster: Cluster) -> list[tuple[str, str | None]]:
    """UID and deletion of each."""
    found = json.loads(cluster.plane.kubectl("get", *KEPT, "--output=json").stdout)["items"]
    return [(one["metadata"]["uid"], one["metadata"].get("deletionTimestamp")) for one in found]
