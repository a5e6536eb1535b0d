"""Watch the demo's buckets and keys become Ready."""

from __future__ import annotations

import time
from collections.abc import Callable

from demo.cluster import Cluster, Manifest
from demo.names import TENANT
from demo.waiting import until

READY_SECONDS = 120.0
HERE = f"--namespace={TENANT}"


class Watch:
    """Looks at all of them again and again, and shows what changed, with the second it did."""

    def __init__(self, cluster: Cluster, show: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._show = show
        self._begun = time.monotonic()
        self._shown: set[str] = set()
        self._items: list[Manifest] = []

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Return when all are Ready, having shown ``kubectl get amove``.

        ``check()`` may raise on the way. Raises DemoError that says what is not Ready, and why.
        """
        until(self._all_ready, READY_SECONDS, self._complaint, check)
        self._show(self._cluster.kubectl("get", "amove", HERE))

    def _all_ready(self) -> bool:
        self._items = self._cluster.items("amove", HERE)
        for item in self._items:
            line = _line(item)
            if line not in self._shown:
                self._show(f"{time.monotonic() - self._begun:4.1f} s  {line}")
                self._shown.add(line)
        return all(_is_ready(item) for item in self._items)

    def _complaint(self) -> str:
        waiting = [item for item in self._items if not _is_ready(item)]
        return "all are Ready\n" + "\n".join(
            f"{_line(item)} {_condition(item).get('message', '')}" for item in waiting
        )


def _is_ready(item: Manifest) -> bool:
    """For the object as it is now, not as it was before a change."""
    ready = _condition(item)
    generation = item["metadata"]["generation"]
    return ready.get("status") == "True" and ready.get("observedGeneration") == generation


def _condition(item: Manifest) -> Manifest:
    conditions: list[Manifest] = item.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Ready"), {})


def _line(item: Manifest) -> str:
    ready = _condition(item)
    name = f"{item['kind']} {item['metadata']['name']}"
    return f"{name:32} Ready={ready.get('status', '?'):6} {ready.get('reason', '')}"
