"""The operator, started on this machine as the Deployment would start it in a pod."""

from __future__ import annotations

import sys

from demo.cluster import Cluster, Manifest
from demo.deployment import local_environment, mounted_files, read_container
from demo.names import CHART_NAME, RELEASE, SYSTEM
from demo.waiting import until
from demo.workplace import Background, Workplace, python_environment

LEASE = f"{RELEASE}-{CHART_NAME}"
"""The chart gives each release a Lease of its own."""
READY_SECONDS = 120.0


def start_operator(place: Workplace, cluster: Cluster, deployment: Manifest) -> Background:
    """Give it the Deployment's arguments, variables, mounted files and ServiceAccount.

    Returns when it leads: it takes the Lease once its caches are filled. Raises DemoError when it
    ends before, or takes longer than ``READY_SECONDS``.
    """
    container = read_container(deployment)
    for path, content in mounted_files(cluster, container, SYSTEM).items():
        place.private_file(f"mounts{path}", content)
    kubeconfig = cluster.service_account_kubeconfig(SYSTEM, container.service_account)
    environ = {
        **python_environment(),
        **local_environment(container, place.private / "mounts"),
        "KUBECONFIG": str(place.private_file("operator.kubeconfig", kubeconfig)),
    }
    command = [sys.executable, "-m", "amove_operator", *container.arguments]
    operator = place.start("operator", command, environ)
    until(
        lambda: _leader(cluster),
        READY_SECONDS,
        lambda: f"the operator holds the Lease {SYSTEM}/{LEASE}",
        operator.require_running,
    )
    return operator


def _leader(cluster: Cluster) -> str:
    return cluster.kubectl(
        "get",
        f"lease/{LEASE}",
        f"--namespace={SYSTEM}",
        "--ignore-not-found",
        "--output=jsonpath={.spec.holderIdentity}",
    )
