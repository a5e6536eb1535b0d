"""The Lease, by which the operator says that it is at work."""

from __future__ import annotations

from collections.abc import Callable

from demo.cluster import Cluster
from demo.names import CHART_NAME, RELEASE, SYSTEM
from demo.waiting import until

LEASE = f"{RELEASE}-{CHART_NAME}"
"""The chart gives each release a Lease of its own."""
READY_SECONDS = 120.0


def wait_for_leader(cluster: Cluster, check: Callable[[], None]) -> None:
    """Return when the operator leads: it takes the Lease once its caches are filled.

    ``check()`` may raise on the way. Raises DemoError when it takes over ``READY_SECONDS``.
    """
    until(
        lambda: leader(cluster),
        READY_SECONDS,
        lambda: f"the operator holds the Lease {SYSTEM}/{LEASE}",
        check,
    )


def leader(cluster: Cluster) -> str:
    """Who holds the Lease; "" for nobody."""
    return cluster.kubectl(
        "get",
        f"lease/{LEASE}",
        f"--namespace={SYSTEM}",
        "--ignore-not-found",
        "--output=jsonpath={.spec.holderIdentity}",
    )
