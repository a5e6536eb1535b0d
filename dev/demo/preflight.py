"""May the demo run on this cluster? Only where it can neither meet nor disturb anybody's keys."""

from __future__ import annotations

import json

from demo.cluster import Cluster, Manifest
from demo.errors import DemoError, RefusedError
from demo.names import CHART_NAME, FENCE, KINDS, NAMESPACES, RELEASE, SYSTEM

INSTALLED_KINDS = "deployments,clusterroles"


def require_free(cluster: Cluster) -> bool:
    """Whether the CRDs and the fence are there already.

    Raises RefusedError, before anything was touched, when the cluster does not answer, holds
    objects of our kinds, another install of the operator, or the demo's own namespaces.
    """
    try:
        cluster.kubectl("get", "--raw=/readyz")
    except DemoError as error:
        why = str(error).splitlines()[-1]
        raise RefusedError(f"{cluster.kubeconfig}: the cluster is not ready: {why}") from None
    served = served_kinds(cluster)
    _refuse(
        "has a namespace of the demo's name",
        [name for name in NAMESPACES if cluster.exists("namespace", name)],
        "if a demo that was killed left it, take the finalizers off the resources in it, then "
        f"helm uninstall {RELEASE} -n {SYSTEM} and kubectl delete namespace {' '.join(NAMESPACES)}",
    )
    _refuse(
        "holds Amove resources, and a second operator would take part in their lives",
        [_place(item) for kind in served for item in cluster.items(kind, "--all-namespaces")],
        "name a cluster without them",
    )
    _refuse(
        "has the operator installed already",
        _installs(cluster),
        "name a cluster without it",
    )
    there = [*(f"customresourcedefinition/{kind}" for kind in served), *standing_fence(cluster)]
    _refuse(
        "has a part of what the operator needs and not the rest",
        there if len(there) < len(KINDS) + len(FENCE) else [],
        "install all of it with amove-operator crds | kubectl apply -f -, or delete these",
    )
    return bool(there)


def served_kinds(cluster: Cluster) -> list[str]:
    """Which of our CRDs exist, by name."""
    return [kind for kind in KINDS if cluster.exists("customresourcedefinition", kind)]


def standing_fence(cluster: Cluster) -> list[str]:
    """Which of the fence's two objects exist."""
    return [each for each in FENCE if cluster.exists(*each.split("/"))]


def _installs(cluster: Cluster) -> list[str]:
    releases = json.loads(cluster.helm("list", "--all-namespaces", "--output=json"))
    ours = [each for each in releases if each["chart"].startswith(f"{CHART_NAME}-")]
    found = [f"Helm release {each['namespace']}/{each['name']}" for each in ours]
    label = f"--selector=app.kubernetes.io/name={CHART_NAME}"
    objects = cluster.items(INSTALLED_KINDS, "--all-namespaces", label)
    return found or [f"{item['kind']} {_place(item)}" for item in objects]


def _refuse(fault: str, evidence: list[str], advice: str) -> None:
    if evidence:
        shown = ", ".join(evidence[:3]) + (" …" if len(evidence) > 3 else "")
        raise RefusedError(f"this cluster {fault} ({shown}): {advice}. Nothing was touched.")


def _place(item: Manifest) -> str:
    metadata = item["metadata"]
    return "/".join(filter(None, [metadata.get("namespace"), metadata["name"]]))
