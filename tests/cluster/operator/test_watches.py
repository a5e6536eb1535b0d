"""Kopf as a watcher: it ends without a trace, and takes nothing of ours with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from amove_operator.app.watches import Watches
from amove_operator.kube import Kube
from amove_operator.models.refs import Kind
from tests.cluster.harness import BUCKET, a_bucket
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE


async def test_a_watch_that_is_cancelled_leaves_no_task_and_cancels_none_that_came_after_it(
    kube: Kube, cluster: Cluster
) -> None:
    """Kopf takes every task that began after its own start for its own."""
    cluster.apply(a_bucket("photos"))
    shown, ready = asyncio.Event(), asyncio.Event()
    signals: list[str] = []

    def on_event(kind: Kind, _change: str | None, body: Mapping[str, Any]) -> None:
        if (kind.value, body["metadata"]["name"]) == (BUCKET, "photos"):
            shown.set()

    before = asyncio.all_tasks()

    async def served() -> None:
        pass

    both = Watches(
        on_event,
        kube.transport.login,
        [cluster.namespace],
        served,
        lambda: signals.append("taken"),
    )
    watching = asyncio.create_task(both.run(ready))
    async with asyncio.timeout(PATIENCE):
        await ready.wait()
        await shown.wait()
        ours = asyncio.create_task(asyncio.sleep(PATIENCE))
        watching.cancel()
        await asyncio.wait({watching})
        while left := asyncio.all_tasks() - before - {ours}:
            await asyncio.wait(left)
    assert signals == ["taken"]
    assert watching.cancelled()
    assert not ours.done()
    ours.cancel()
