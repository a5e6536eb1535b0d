"""Watch the demo's buckets and keys become Ready, as a person with kubectl would."""

from __future__ import annotations

from collections.abc import Callable

from demo.cluster import Cluster, Manifest
from demo.names import TENANT
from demo.waiting import until

READY_SECONDS = 60.0


def wait_until_ready(
    cluster: Cluster, show: Callable[[str], None], check: Callable[[], None]
) -> int:
    """Show ``kubectl get amove`` whenever it reads otherwise, until all is Ready; how many.

    ``check()`` may raise on the way. Raises DemoError with the conditions of what is not Ready.
    """
    shown = ""

    def all_ready() -> bool:
        nonlocal shown
        # Before the table, so that the table shows at least as much.
        ready = not _unready(cluster)
        table = cluster.kubectl("get", "amove", f"--namespace={TENANT}")
        if _without_age(table) != _without_age(shown):
            show(f"$ kubectl get amove --namespace {TENANT}\n{table}")
            shown = table
        return ready

    until(
        all_ready,
        READY_SECONDS,
        lambda: "; ".join(_why(item) for item in _unready(cluster)),
        check,
    )
    return len(_resources(cluster))


def _resources(cluster: Cluster) -> list[Manifest]:
    return cluster.items("amove", f"--namespace={TENANT}")


def _unready(cluster: Cluster) -> list[Manifest]:
    return [item for item in _resources(cluster) if not is_ready(item)]


def is_ready(item: Manifest) -> bool:
    """Whether the condition Ready is True for the object as it is now."""
    ready = _condition(item)
    return (
        ready.get("status") == "True"
        and ready.get("observedGeneration") == item["metadata"]["generation"]
    )


def _condition(item: Manifest) -> Manifest:
    conditions: list[Manifest] = item.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def _why(item: Manifest) -> str:
    ready = _condition(item)
    reason, message = ready.get("reason", "no condition yet"), ready.get("message", "")
    return f"{item['metadata']['name']} is not Ready: {reason} {message}".strip()


def _without_age(table: str) -> list[list[str]]:
    """The age ticks, and it is the last column."""
    return [line.split()[:-1] for line in table.splitlines()]
